import { constants } from 'node:fs'
import { access } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import type { Reading } from './reading.ts'
import { expected, read } from './reading.ts'

/** It becomes a part of a program's name, and so must not be able to become a path. */
const NAME = /^[a-z0-9][a-z0-9._-]{0,63}$/
const FORMS = 'the name of a credential helper such as "ecr-login", without "docker-credential-"'

export function readHelperName(text: string): Reading<string> {
  return NAME.test(text) && !text.startsWith('docker-credential-') ? read(text) : expected(FORMS)
}

/** The same for a name that a file gives. Throws an Error. */
export function checkHelperName(text: string, path: string): string {
  const reading = readHelperName(text)
  if ('value' in reading) return reading.value
  throw new Error(`${path} names a credential helper that cannot be one: expected ${FORMS}`)
}

/** Throws an Error unless the helper's program can be found. It is not run: what it asks may be down. */
export async function findHelper(helper: string, path: string | undefined): Promise<void> {
  const program = `docker-credential-${helper}`
  for (const dir of (path ?? '').split(delimiter)) {
    try {
      await access(join(dir, program), constants.X_OK)
      return
    } catch {
      // It may be in one of the other directories.
    }
  }
  throw new Error(`there is no program ${program} in the PATH: install it, or correct the name`)
}
