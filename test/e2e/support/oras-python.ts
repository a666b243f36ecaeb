import { mkdtemp, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { aptInstall } from './debian-packages.ts'
import { CACHE, fileExists, installStep } from './install-step.ts'
import { runCommand } from './programs.ts'

export const ORAS_PYTHON_VERSION = '0.2.43'

/** It and all that it needs, so that every run has the same. */
const REQUIREMENTS = [
  `oras==${ORAS_PYTHON_VERSION}`,
  'attrs==26.1.0',
  'certifi==2026.10.18',
  'charset-normalizer==3.5.2',
  'idna==3.20',
  'jsonschema==4.26.0',
  'jsonschema-specifications==2025.9.1',
  'referencing==0.37.0',
  'requests==2.34.2',
  'rpds-py==2026.9.1',
  'typing_extensions==4.16.0',
  'urllib3==2.8.0',
]
const PACKAGES = join(CACHE, `oras-python-${ORAS_PYTHON_VERSION}`)

/** Makes Python find the package. */
export const ORAS_PYTHON_ENV = { PYTHONPATH: PACKAGES, PYTHONDONTWRITEBYTECODE: '1' }

/** A folder of packages, not an environment: it can be renamed when it is whole, and needs no ensurepip. */
export async function installOras(): Promise<void> {
  if (await fileExists(PACKAGES)) return
  if (!(await hasPip())) await aptInstall(['python3-pip'])
  await installStep(`pip install oras==${ORAS_PYTHON_VERSION}`, 'it is fetched once', async () => {
    const dir = await mkdtemp(`${PACKAGES}-installing-`)
    const args = ['-m', 'pip', 'install', '--quiet', '--no-deps', '--no-compile', '--target', dir]
    try {
      await runCommand('python3', [...args, ...REQUIREMENTS])
      await rename(dir, PACKAGES)
    } catch (error) {
      await rm(dir, { recursive: true })
      throw error
    }
  })
}

async function hasPip(): Promise<boolean> {
  try {
    await runCommand('python3', ['-m', 'pip', '--version'])
    return true
  } catch {
    // Debian has Python without pip: that is an answer.
    return false
  }
}
