import { chmod, mkdir, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { writeClientFiles, WriteError } from '../../src/cli/write-client-files.ts'
import type { TempDir } from '../support/temp-dir.ts'
import { makeTempDir } from '../support/temp-dir.ts'
import { runHere } from './fake-terminal.ts'

const NOW = Date.UTC(2026, 1, 3, 4, 5, 6, 7)
const BACKUP = '.bak-20260203T040506007Z'
const MIRROR = { path: 'daemon.json', lists: { 'registry-mirrors': ['http://m:5000'] } }
let dir: TempDir

beforeEach(async () => (dir = await makeTempDir()))
afterEach(() => dir.remove())

const at = (path: string) => join(dir.path, path)
const read = (path: string) => readFile(at(path), 'utf8')
const write = (files: Parameters<typeof writeClientFiles>[1]) =>
  writeClientFiles(dir.path, files, NOW)

describe('writing client files', () => {
  it('makes what is not there, folders and all, readable to everyone', async () => {
    const written = await write([{ path: 'a/b/hosts.toml', text: '# x\n' }])
    expect(written).toEqual([{ path: at('a/b/hosts.toml'), status: 'created' }])
    expect(await read('a/b/hosts.toml')).toBe('# x\n')
    expect((await stat(at('a/b/hosts.toml'))).mode & 0o777).toBe(0o644)
    expect(await readdir(at('a/b'))).toEqual(['hosts.toml'])
  })

  it('keeps what it replaces, and the mode of the file', async () => {
    await writeFile(at('x.toml'), 'old\n')
    await chmod(at('x.toml'), 0o600)
    const [written] = await write([{ path: 'x.toml', text: 'new\n' }])
    const backup = at('x.toml') + BACKUP
    expect(written).toEqual({ path: at('x.toml'), status: 'replaced', backup, isForeign: true })
    expect([await read('x.toml'), await read(`x.toml${BACKUP}`)]).toEqual(['new\n', 'old\n'])
    expect((await stat(at('x.toml'))).mode & 0o777).toBe(0o600)
    expect((await stat(backup)).mode & 0o777).toBe(0o600)
  })

  it('leaves alone what says the same already', async () => {
    await write([{ path: 'x.toml', text: 'same\n' }, MIRROR])
    const statuses = (await write([{ path: 'x.toml', text: 'same\n' }, MIRROR])).map(
      ({ status }) => status,
    )
    expect(statuses).toEqual(['unchanged', 'unchanged'])
    expect((await readdir(dir.path)).toSorted()).toEqual(['daemon.json', 'x.toml'])
  })

  it('takes no notice of how a daemon.json is written that says the same already', async () => {
    const before = '{"registry-mirrors":["http://m:5000","http://other"],"debug":true}'
    await writeFile(at('daemon.json'), before)
    expect(await write([MIRROR])).toEqual([{ path: at('daemon.json'), status: 'unchanged' }])
    expect(await read('daemon.json')).toBe(before)
    expect(await readdir(dir.path)).toEqual(['daemon.json'])
  })

  it('makes no daemon.json for nothing, and touches none', async () => {
    const nothing = { path: 'daemon.json', lists: { 'registry-mirrors': [] } }
    expect(await write([nothing])).toEqual([])
    await writeFile(at('daemon.json'), '{"registry-mirrors":["a","a"]}')
    expect(await write([nothing])).toMatchObject([{ status: 'unchanged' }])
  })

  it('replaces what a link leads to, and not the link', async () => {
    await mkdir(at('real'))
    await writeFile(at('real/x.toml'), 'old\n')
    await symlink('real/x.toml', at('x.toml'))
    const [written] = await write([{ path: 'x.toml', text: 'new\n' }])
    expect(written?.path).toBe(at('real/x.toml'))
    expect(await read('x.toml')).toBe('new\n')
    expect((await readdir(at('real'))).toSorted()).toEqual(['x.toml', `x.toml${BACKUP}`])
  })

  it.each([
    ['puts the mirror first', '{"registry-mirrors": ["http://other"]}', ['http://other']],
    ['adds it once', '{"registry-mirrors": ["http://other", "http://m:5000"]}', ['http://other']],
    ['takes an empty file for no settings', '\n', []],
  ])('%s in a daemon.json', async (_title, before, others) => {
    await writeFile(at('daemon.json'), before)
    await write([MIRROR])
    expect(JSON.parse(await read('daemon.json'))).toEqual({
      'registry-mirrors': ['http://m:5000', ...others],
    })
  })

  it('keeps the other settings of a daemon.json, and its indentation', async () => {
    const before = '{\n    "data-root": "/srv/docker",\n    "debug": true\n}\n'
    await writeFile(at('daemon.json'), before)
    const [written] = await write([MIRROR])
    expect(written).toMatchObject({ status: 'merged', backup: at('daemon.json') + BACKUP })
    expect(await read('daemon.json')).toBe(
      '{\n    "data-root": "/srv/docker",\n    "debug": true,\n' +
        '    "registry-mirrors": [\n        "http://m:5000"\n    ]\n}\n',
    )
    expect(await read(`daemon.json${BACKUP}`)).toBe(before)
  })

  it.each([
    ['{ "debug": tru', 'it is not JSON'],
    ['[]', 'it is not a JSON object'],
    ['{ "registry-mirrors": "http://x" }', '"registry-mirrors" in it is not a list'],
  ])('writes nothing at all if daemon.json is %s', async (before, reason) => {
    await writeFile(at('daemon.json'), before)
    const writing = write([{ path: 'x.toml', text: 'x\n' }, MIRROR])
    await expect(writing).rejects.toThrow(WriteError)
    await expect(writing).rejects.toThrow(
      `${at('daemon.json')}: ${reason}; nothing was written: mend it or move it away`,
    )
    expect(await readdir(dir.path)).toEqual(['daemon.json'])
    expect(await read('daemon.json')).toBe(before)
  })

  it('leaves nothing behind where it cannot write', async () => {
    await mkdir(at('x.toml'))
    await expect(write([{ path: 'x.toml', text: 'x\n' }])).rejects.toThrow('it is a directory')
    await writeFile(at('file'), '')
    await expect(write([{ path: 'file/x.toml', text: 'x\n' }])).rejects.toThrow(WriteError)
    expect((await readdir(dir.path)).toSorted()).toEqual(['file', 'x.toml'])
  })

  it('gives up below a directory that takes none, such as /proc', async () => {
    const writing = writeClientFiles('/proc/oci-mirror', [{ path: 'a/x.toml', text: 'x\n' }], NOW)
    await expect(writing).rejects.toThrow(/^cannot write \/proc\/oci-mirror\/a\/x\.toml: /)
  })

  it('refuses to lose a backup that is there already', async () => {
    await writeFile(at('x.toml'), 'second\n')
    await writeFile(at(`x.toml${BACKUP}`), 'first\n')
    await expect(write([{ path: 'x.toml', text: 'third\n' }])).rejects.toThrow(WriteError)
    expect([await read('x.toml'), await read(`x.toml${BACKUP}`)]).toEqual(['second\n', 'first\n'])
  })
})

describe('client-config --write', () => {
  const run = (...args: readonly string[]) => runHere(['client-config', ...args], dir.path)

  it('writes below the directory, at the places that the client knows', async () => {
    await writeFile(
      at('mirror.config.json'),
      '{ "upstreams": { "docker.io": {}, "r.x:5000": {} } }',
    )
    const { code, stdout } = await run('containerd', '--write', 'certs.d')
    expect(code).toBe(0)
    expect(stdout).toBe(
      `created    ${at('certs.d/docker.io/hosts.toml')}\n` +
        `created    ${at('certs.d/r.x:5000/hosts.toml')}\n`,
    )
    expect(await read('certs.d/r.x:5000/hosts.toml')).toContain('[host."http://127.0.0.1:5000"]')
  })

  it('warns of settings that are now in the backup only, and of its own files not', async () => {
    await writeFile(at('buildkitd.toml'), 'debug = true\n')
    const first = await run('buildkit', '-w', '.')
    const backup = /\(it was (.*)\)/.exec(first.stdout)?.[1] ?? ''
    expect(await readFile(backup, 'utf8')).toBe('debug = true\n')
    expect(first.stderr).toContain(
      `note: ${at('buildkitd.toml')} had other settings: carry over what you need of ${backup}\n`,
    )
    const second = await run('buildkit', '-w', '.', '--url', 'https://other.lan')
    expect(second.stdout).toMatch(/^replaced /)
    expect(second.stderr).not.toContain('carry over')
  })

  it('names the mirrors that Docker has besides, and takes none of them out', async () => {
    const mirrors = async (): Promise<unknown> => JSON.parse(await read('daemon.json'))
    await run('docker', '-w', '.', '--url', 'https://old.lan')
    const moved = await run('docker', '-w', '.', '--url', 'https://new.lan')
    expect(moved.stderr).toContain(
      `note: ${at('daemon.json')}: "registry-mirrors" has https://old.lan as well: take out what `,
    )
    const both = { 'registry-mirrors': ['https://new.lan', 'https://old.lan'] }
    expect(await mirrors()).toEqual(both)
    const strict = await run('docker', '-w', '.', '--url', 'https://new.lan', '--no-fallback')
    expect(strict.stdout).toContain(`unchanged  ${at('daemon.json')}\n`)
    expect(strict.stderr).toContain(
      `note: ${at('daemon.json')}: "registry-mirrors" has https://new.lan, https://old.lan, which `,
    )
    expect(await mirrors()).toEqual(both)
    await writeFile(at('daemon.json'), '{}')
    expect((await run('docker', '-w', '.', '--no-fallback')).stderr).not.toContain(
      '"registry-mirrors"',
    )
  })

  it('lists what it wrote as JSON', async () => {
    await writeFile(at('daemon.json'), '{}')
    const { stdout, stderr } = await run('docker', '-w', '.', '-o', 'json')
    expect(stderr).toBe('')
    expect(JSON.parse(stdout)).toMatchObject({
      client: 'docker',
      files: expect.arrayContaining([
        {
          path: at('daemon.json'),
          status: 'merged',
          backup: expect.stringContaining(at('daemon.json.bak-')),
        },
        { path: at('certs.d/docker.io/hosts.toml'), status: 'created' },
      ]),
    })
  })

  it('ends with 1 and says why if it cannot', async () => {
    await writeFile(at('daemon.json'), '{')
    expect(await run('docker', '-w', '.')).toEqual({
      code: 1,
      stdout: '',
      stderr: `error: ${at('daemon.json')}: it is not JSON; nothing was written: mend it or move it away\n`,
    })
  })
})
