import { debianVersions } from './debian-packages.ts'
import { goProgramVersions } from './go-programs.ts'
import { NPM_VERSION } from './npm-package.ts'
import { ORAS_PYTHON_VERSION } from './oras-python.ts'

/** What the results were got with, one program a line. */
export async function formatVersions(): Promise<string> {
  const debian = await debianVersions()
  const lines = [
    ...debian.map(([name, version]) => `${name} ${version} (Debian)`),
    ...goProgramVersions().map(([name, version]) => `${name} ${version} (Go)`),
    `oras ${ORAS_PYTHON_VERSION} (Python)`,
    `npm ${NPM_VERSION} (npm)`,
  ]
  return `${lines.join('\n')}\n`
}
