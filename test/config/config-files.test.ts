import { chmod, chown, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { loadConfig } from '../../src/config/load-config.ts'
import { makeTempDir } from '../support/temp-dir.ts'
import { linesOf } from './load.ts'

const IMPORT = "import { defineConfig, env, file } from 'oci-mirror'\n"
const FORMATS: readonly (readonly [name: string, content: string])[] = [
  [
    'mirror.config.ts',
    `${IMPORT}const port: number = 5001\nexport default defineConfig({ server: { listen: port } })`,
  ],
  ['mirror.config.mts', `${IMPORT}export default defineConfig({ server: { listen: ':5001' } })`],
  ['mirror.config.js', 'export default { server: { listen: 5001 } }'],
  ['mirror.config.mjs', 'export default { server: { listen: 5001 } }'],
  ['mirror.config.json', '{\n\t"server": { "listen": ":5001" }\n}\n'],
  ['mirror.config.yaml', '# comment\nserver:\n  listen: :5001\n'],
  ['mirror.config.yml', 'server: { listen: 5001 }'],
]

describe('a configuration file', () => {
  it.each(FORMATS)('may be a %s', async (name, content) => {
    await using dir = await makeTempDir()
    await writeFile(join(dir.path, name), content)
    const { config } = await loadConfig({ env: {}, cwd: dir.path, systemDir: '/nowhere' })
    expect(config.source).toBe(join(dir.path, name))
    expect(config.server.listen.port).toBe(5001)
  })

  it('may be CommonJS', async () => {
    await using dir = await makeTempDir()
    const file = join(dir.path, 'mirror.config.js')
    await writeFile(file, 'module.exports = { staleIfError: "1d" }')
    expect((await loadConfig({ env: {}, cwd: dir.path })).config.staleIfError).toBe(86_400_000)
  })

  it('may be empty', async () => {
    await using dir = await makeTempDir()
    await writeFile(join(dir.path, 'mirror.config.yaml'), '# nothing yet\n')
    const { config } = await loadConfig({ env: {}, cwd: dir.path })
    expect(config.defaultUpstream).toBe('docker.io')
  })

  it('is the first of: -c, OCI_MIRROR_CONFIG, the working directory, the system', async () => {
    await using dir = await makeTempDir()
    const [cwd, systemDir] = [join(dir.path, 'cwd'), join(dir.path, 'etc')]
    await mkdir(cwd)
    await mkdir(systemDir)
    const sourceOf = async (options: { file?: string; env?: Record<string, string> }) =>
      (await loadConfig({ env: {}, cwd, systemDir, ...options })).config.source
    expect(await sourceOf({})).toBeUndefined()
    await writeFile(join(systemDir, 'mirror.config.yml'), '')
    expect(await sourceOf({})).toBe(join(systemDir, 'mirror.config.yml'))
    await writeFile(join(cwd, 'mirror.config.yaml'), '')
    expect(await sourceOf({})).toBe(join(cwd, 'mirror.config.yaml'))
    await writeFile(join(cwd, 'mirror.config.ts'), 'export default {}')
    expect(await sourceOf({})).toBe(join(cwd, 'mirror.config.ts'))
    await writeFile(join(cwd, 'env.yaml'), '')
    const env = { OCI_MIRROR_CONFIG: 'env.yaml' }
    expect(await sourceOf({ env })).toBe(join(cwd, 'env.yaml'))
    await writeFile(join(dir.path, 'named.yaml'), '')
    expect(await sourceOf({ env, file: '../named.yaml' })).toBe(join(dir.path, 'named.yaml'))
  })

  it('names files relative to itself, and the data relative to the working directory', async () => {
    await using dir = await makeTempDir()
    await writeFile(join(dir.path, 'token'), 'abc\n')
    await writeFile(
      join(dir.path, 'c.yaml'),
      'storage: { dir: here }\nupstreams: { a.example: { auth: { token: { file: token } }, access: shared } }',
    )
    const { config } = await loadConfig({ env: {}, cwd: '/', file: join(dir.path, 'c.yaml') })
    expect(config.storage.dir).toBe('/here')
    const [upstream] = config.upstreams.values()
    expect(await upstream?.credentials?.()).toEqual({ token: 'abc' })
  })
})

const BROKEN: readonly (readonly [file: string, content: string, ...lines: string[]])[] = [
  ['c.ts', 'const a = 1\nexport default {\n  a: ,\n}', 'c.ts:3: syntax error: Unexpected token'],
  [
    'c.ts',
    '\n\nexport default { a: missing() }',
    'c.ts:3: failed while it ran: missing is not defined',
  ],
  [
    'c.ts',
    "import x from 'no-such-package'\nexport default x",
    "c.ts:1: failed while it ran: Cannot find module 'no-such-package'",
  ],
  [
    'c.ts',
    'export const config = {}',
    'c.ts: exports no configuration: write "export default defineConfig({ … })"',
  ],
  ['c.mjs', 'export default () => ({})', 'c.mjs: expected a table, got a function'],
  ['c.json', '{\n  "log": {\n}\n', 'c.json:4: JSON: Flow map must end with a }'],
  ['c.json', '{\n  "log": {},\n}\n', 'c.json:3: JSON: not valid; a comma too many, or a comment?'],
  ['c.json', '{\n  "storage": hunter2\n}', 'c.json:2: JSON: Unresolved plain scalar'],
  ['c.json', '{ "log": {}, "log": {} }', 'c.json:1: JSON: Map keys must be unique'],
  ['c.yaml', 'log: {}\nlog: {}', 'c.yaml:2: YAML: Map keys must be unique'],
  ['c.yaml', 'a: 1\n b: 2', 'c.yaml:1: YAML: Nested mappings are not allowed in compact mappings'],
  ['c.yaml', 'log: !secret x', 'c.yaml:1: YAML: Unresolved tag: !secret'],
  [
    'c.yaml',
    'log: *x',
    'c.yaml: YAML: Unresolved alias (the anchor must be set before the alias): x',
  ],
  [
    'c.yaml',
    'log:\n  level: info\n  formatt: json\n\nserver:\n  listen: x',
    'c.yaml:3: log.formatt: unknown key (did you mean "format"?)',
    'c.yaml:6: server.listen: expected an address such as "127.0.0.1:5000", or ":5000" for every interface, got "x"',
  ],
  [
    'c.yaml',
    'upstreams:\n  a.example:\n    auth: { token: t }',
    'c.yaml:2: upstreams["a.example"].access: expected "shared"',
  ],
  [
    'c.toml',
    '',
    'c.toml: has a name that tells no format: expected one of .ts, .mts, .js, .mjs, .json, .yaml, .yml at its end',
  ],
]

describe('a configuration file that cannot be used', () => {
  it.each(BROKEN)('is refused with the place: %s %j', async (name, content, ...expected) => {
    await using dir = await makeTempDir()
    await writeFile(join(dir.path, name), content)
    const lines = await linesOf(() => loadConfig({ env: {}, cwd: dir.path, file: name }))
    // Only the long explanation of `access` is not repeated here.
    expect(lines.map((line) => line.split(', because')[0])).toEqual(expected)
  })

  it('is refused if it was named and is not there, or is a directory', async () => {
    await using dir = await makeTempDir()
    await writeFile(join(dir.path, 'mirror.config.json'), '{}')
    const attempt = (file: string) => linesOf(() => loadConfig({ env: {}, cwd: dir.path, file }))
    expect(await attempt('x.yaml')).toEqual(['x.yaml: cannot be read: there is no such file'])
    expect(await attempt('/')).toEqual(['/: is a directory, not a configuration file'])
  })

  it('is refused if it is code that others may write, and is not run', async () => {
    await using dir = await makeTempDir()
    const file = join(dir.path, 'c.ts')
    await writeFile(file, 'throw new Error("run")')
    await chmod(file, 0o666)
    const [line] = await linesOf(() => loadConfig({ env: {}, cwd: dir.path, file }))
    expect(line).toBe(
      `c.ts: is code, and everyone may write it: run "chmod go-w ${file}", ` +
        'or write the configuration as YAML or JSON, which is not run',
    )
  })

  it.runIf(process.geteuid?.() === 0)('is refused if it is code of another user', async () => {
    await using dir = await makeTempDir()
    const file = join(dir.path, 'c.js')
    await writeFile(file, 'export default {}')
    await chown(file, 12_345, 0)
    const [line] = await linesOf(() => loadConfig({ env: {}, cwd: dir.path, file }))
    expect(line).toBe(
      'c.js: is code, and it belongs to user 12345, and the mirror runs as user 0: ' +
        `run "chown 0 ${file}", or write the configuration as YAML or JSON, which is not run`,
    )
  })
})
