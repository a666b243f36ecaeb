import { stat } from 'node:fs/promises'
import { extname, join } from 'node:path'
import type { Identity } from './code-permissions.ts'
import { currentIdentity, permissionProblem } from './code-permissions.ts'
import type { ConfigFile } from './config-file.ts'
import { UnreadableFile } from './config-file.ts'

/** The package's own name: what a configuration file imports `defineConfig` from, wherever it lies. */
const PACKAGE = 'oci-mirror'

/** Runs a TypeScript or JavaScript file, if nobody else could have written it. Throws UnreadableFile. */
export async function readCode(
  path: string,
  identity: Identity | undefined = currentIdentity(),
): Promise<ConfigFile> {
  const problem = identity && permissionProblem(path, await stat(path), identity)
  if (problem !== undefined) throw new UnreadableFile(problem)
  const exports = await load(path)
  if (!('default' in exports)) {
    throw new UnreadableFile('exports no configuration: write "export default defineConfig({ … })"')
  }
  return { path, value: exports['default'], lineOf: () => undefined }
}

async function load(path: string): Promise<Readonly<Record<string, unknown>>> {
  // Loaded here, because most commands and most installations never need a compiler.
  const { createJiti } = await import('jiti')
  const jiti = createJiti(import.meta.url, {
    alias: {
      [PACKAGE]: join(import.meta.dirname, `define-config${extname(import.meta.filename)}`),
    },
    // The cache would lie in a directory that others may write, and what lies in it is run.
    fsCache: false,
    moduleCache: false,
    tryNative: false,
  })
  try {
    return await jiti.import<Record<string, unknown>>(path)
  } catch (cause) {
    throw explain(cause, path)
  }
}

/** jiti's syntax errors end in `file:line:column`; other errors have the place in their stack. */
function explain(cause: unknown, path: string): UnreadableFile {
  const error = cause instanceof Error ? cause : new Error(String(cause))
  const syntax = /^ParseError: ([^\n]*)\n\s*(.*):(\d+):\d+$/.exec(error.message)
  if (syntax !== null) {
    const elsewhere = syntax[2] === path ? '' : ` in ${syntax[2]}`
    const message = `syntax error${elsewhere}: ${syntax[1]?.trim()}`
    return new UnreadableFile(message, { line: Number(syntax[3]), cause })
  }
  const [message] = error.message.split('\n')
  return new UnreadableFile(`failed while it ran: ${message}`, {
    line: lineInStack(error, path),
    cause,
  })
}

function lineInStack(error: Error, path: string): number | undefined {
  const after = (error.stack ?? '').split(`${path}:`)[1]
  const line = Number.parseInt(after ?? '', 10)
  return Number.isNaN(line) ? undefined : line
}
