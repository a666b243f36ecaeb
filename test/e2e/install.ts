import { installDebianPackages } from './support/debian-packages.ts'
import { installGoPrograms } from './support/go-programs.ts'
import { installNpm } from './support/npm-package.ts'
import { installOras } from './support/oras-python.ts'

/**
 * Installs the real registries and clients that the tests drive, unless they are there. A program that
 * cannot be had fails the run: a skipped client would look like a client that works.
 */
export async function install(): Promise<void> {
  await installDebianPackages()
  await installGoPrograms()
  await installOras()
  await installNpm()
}
