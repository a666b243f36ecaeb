import { mkdir, writeFile } from 'node:fs/promises'
import { glob } from 'node:fs/promises'
import { readFile } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { describe, expect, it } from 'vitest'
import { makeTempDir } from './support/temp-dir.ts'

/**
 * Who may import whom, and what. This is the diagram of the architecture: a folder, the folders of ours
 * that it may import, and the libraries that are its own. What is not listed is forbidden.
 */
const ALLOWED: Readonly<
  Record<string, { readonly ours: readonly string[]; readonly libraries: readonly string[] }>
> = {
  oci: { ours: [], libraries: [] },
  core: { ours: ['oci'], libraries: ['lru-cache'] },
  upstream: { ours: ['oci', 'core'], libraries: ['undici', 'tldts'] },
  store: { ours: ['oci', 'core'], libraries: ['better-sqlite3', 'lru-cache'] },
  http: { ours: ['oci', 'core'], libraries: ['hono', '@hono/node-server'] },
  observe: {
    ours: ['oci', 'core'],
    libraries: ['pino', 'pino-pretty', 'pretty-bytes', '@prometheus-io/client'],
  },
  airgap: { ours: ['oci', 'core'], libraries: ['yaml'] },
  config: {
    ours: ['oci', 'core'],
    libraries: ['zod', 'jiti', 'yaml', 'fastest-levenshtein', 'picomatch', 'croner'],
  },
  'wire.ts': {
    ours: [
      'oci',
      'core',
      'store',
      'http',
      'observe',
      'config',
      'wire-jobs.ts',
      'wire-operations.ts',
      'wire-upstreams.ts',
    ],
    libraries: [],
  },
  'wire-jobs.ts': { ours: ['oci', 'core', 'airgap', 'config'], libraries: [] },
  'wire-operations.ts': { ours: ['oci', 'core', 'airgap'], libraries: [] },
  'wire-upstreams.ts': {
    ours: ['oci', 'core', 'upstream', 'observe', 'config'],
    libraries: [],
  },
  probe: {
    ours: ['oci', 'core', 'upstream', 'http', 'config', 'wire-upstreams.ts'],
    libraries: [],
  },
  cli: {
    ours: ['oci', 'core', 'config', 'observe', 'airgap', 'wire.ts', 'probe'],
    libraries: ['commander', 'cli-progress'],
  },
  'main.ts': { ours: ['cli'], libraries: [] },
}

/** Node's own modules are for everyone but the vocabulary, which does no I/O. */
const NODE_MODULES_OF_OCI = new Set(['node:crypto'])

interface Import {
  readonly file: string
  readonly specifier: string
}

async function findForbidden(root: string): Promise<readonly string[]> {
  const forbidden: string[] = []
  for await (const file of glob('**/*.ts', { cwd: root })) {
    for (const found of importsOf(file, await readFile(join(root, file), 'utf8'))) {
      if (!isAllowed(found)) forbidden.push(`src/${file} imports ${found.specifier}`)
    }
  }
  return forbidden.toSorted()
}

function importsOf(file: string, source: string): readonly Import[] {
  const code = source.replaceAll(/^\s*(?:\/\*\*|\*|\/\/).*$/gm, '')
  // What is imported has no spaces in its name; what stands between two texts, one of them 'from', has.
  const pattern = /(?:\bfrom|\bimport)\s*\(?\s*'([^'\s]+)'/g
  return [...code.matchAll(pattern)].map(([, specifier = '']) => ({ file, specifier }))
}

function isAllowed({ file, specifier }: Import): boolean {
  const folder = folderOf(file)
  const rule = ALLOWED[folder]
  if (rule === undefined) return false
  if (specifier.startsWith('.')) {
    const target = folderOf(relative('.', join(dirname(file), specifier)))
    return target === folder || rule.ours.includes(target)
  }
  if (specifier.startsWith('node:')) return folder !== 'oci' || NODE_MODULES_OF_OCI.has(specifier)
  return rule.libraries.some(
    (library) => specifier === library || specifier.startsWith(`${library}/`),
  )
}

/** `store/fs.ts` → `store`, `wire.ts` → `wire.ts`. */
function folderOf(file: string): string {
  return file.split('/')[0] ?? file
}

describe('the architecture', () => {
  it('allows what the sources import', async () => {
    expect(await findForbidden(join(import.meta.dirname, '../src'))).toEqual([])
  })

  it.each([
    ['oci/x.ts', "import { y } from '../core/y.ts'"],
    ['oci/x.ts', "import { readFile } from 'node:fs'"],
    ['core/x.ts', "import type { Y } from '../store/y.ts'"],
    ['core/x.ts', "import { request } from 'undici'"],
    ['store/x.ts', "export { y } from '../http/y.ts'"],
    ['store/deep/x.ts', "import '../../upstream/y.ts'"],
    ['http/x.ts', "const y = await import('../observe/y.ts')"],
    ['http/x.ts', "import Database from 'better-sqlite3'"],
    ['config/x.ts', "import { start } from '../wire.ts'"],
    ['main.ts', "import { y } from './store/y.ts'"],
    ['utils/x.ts', "import { y } from './y.ts'"],
    ['core/x.ts', "import { y } from '../../test/y.ts'"],
  ])('forbids in %s: %s', async (file, line) => {
    await using dir = await makeTempDir()
    await mkdir(dirname(join(dir.path, file)), { recursive: true })
    await writeFile(join(dir.path, file), `${line}\n`)
    expect(await findForbidden(dir.path)).toHaveLength(1)
  })
})
