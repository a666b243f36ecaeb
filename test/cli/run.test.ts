import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { TempDir } from '../support/temp-dir.ts'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { makeTempDir } from '../support/temp-dir.ts'
import { runHere } from './fake-terminal.ts'

const HINT = 'Run "oci-mirror help" to see what there is.\n'
let dir: TempDir

beforeEach(async () => {
  dir = await makeTempDir()
  await writeFile(join(dir.path, 'mirror.config.yaml'), 'upstreams: { quay.io: {}, ghcr.io: {} }\n')
})
afterEach(() => dir.remove())

describe('the command line', () => {
  it.each([
    [['srve'], 'error: unknown command \'srve\' (did you mean "serve"?)\n'],
    [['zzz', 'x'], "error: unknown command 'zzz'\n"],
    [['config', 'chek'], "error: unknown command 'chek'\n(Did you mean check?)\n"],
    [['--lisen', ':1'], "error: unknown option '--lisen'\n(Did you mean --listen?)\n"],
    [['serve', '--listen'], "error: option '-l, --listen <address>' argument missing\n"],
    [['version', '--shrt'], "error: unknown option '--shrt'\n"],
    [
      ['version', 'x'],
      "error: too many arguments for 'version'. Expected 0 arguments but got 1: x.\n",
    ],
    [
      ['config', 'print', '-o', 'xml'],
      "error: option '-o, --output <format>' argument 'xml' is invalid. Allowed choices are yaml, json.\n",
    ],
  ])('refuses %j', async (args, message) => {
    expect(await runHere(args, dir.path)).toEqual({ code: 2, stdout: '', stderr: message + HINT })
  })

  it('prints help and version to stdout', async () => {
    const help = await runHere(['--help'], dir.path)
    expect(help).toMatchObject({ code: 0, stderr: '' })
    for (const word of ['serve', 'config', 'healthcheck', 'version', '--config <file>']) {
      expect(help.stdout).toContain(word)
    }
    expect(await runHere(['-V'], dir.path)).toMatchObject({ code: 0, stdout: '0.1.0\n' })
    const { stdout } = await runHere(['version'], dir.path)
    expect(stdout).toBe(`oci-mirror 0.1.0 (Node.js ${process.versions.node})\n`)
  })

  it('explains what config can do when it is not told which', async () => {
    const { code, stdout, stderr } = await runHere(['config'], dir.path)
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toMatch(/check .*\n.*print .*\n.*schema /)
  })
})

describe('config check', () => {
  it('says OK and what the configuration comes to', async () => {
    const { code, stdout, stderr } = await runHere(['config', 'check'], dir.path)
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toBe(
      [
        'OK  mirror.config.yaml',
        'listen    127.0.0.1:5000',
        `data      ${dir.path}/data`,
        'default   none',
        'upstream  quay.io  https://quay.io  anonymous, tags 5m',
        'upstream  ghcr.io  https://ghcr.io  anonymous, tags 5m',
        '',
      ].join('\n'),
    )
  })

  it('says which of several endpoints are sent the credentials', async () => {
    const auth = '{ auth: { token: canary }, access: shared, '
    await writeFile(
      join(dir.path, 'some.yaml'),
      'upstreams:\n' +
        `  one.example: ${auth} url: 'https://a.example' }\n` +
        `  two.example: ${auth} endpoints: ['https://a.example:5000', 'https://two.example'] }\n`,
    )
    const { stdout } = await runHere(['config', 'check', '-c', 'some.yaml'], dir.path)
    expect(stdout.split('\n').filter((line) => line.startsWith('upstream'))).toEqual([
      'upstream  one.example  https://a.example  with credentials, shared, tags 5m',
      'upstream  two.example  https://a.example:5000, https://two.example  ' +
        'with credentials (sent to a.example:5000 and to two.example), shared, tags 5m',
    ])
  })

  it('tells the proxies of the environment, without their passwords', async () => {
    const env = {
      http_proxy: 'http://user:canary@proxy.example:3128',
      HTTPS_PROXY: 'https://secure.example',
      no_proxy: 'quay.io,10.0.0.0/8',
    }
    const { stdout } = await runHere(['config', 'check'], dir.path, env)
    expect(stdout.split('\n')).toContain(
      'proxy     http through proxy.example:3128, https through secure.example, ' +
        'not for quay.io, not for 10.0.0.0/8',
    )
    expect(stdout).not.toContain('canary')
  })

  it('lists every problem on stderr, one per line', async () => {
    await writeFile(join(dir.path, 'bad.yaml'), 'log: { levl: info }\nserver: { listen: x }\n')
    for (const args of [
      ['-c', 'bad.yaml', 'config', 'check'],
      ['config', 'check', '--config', 'bad.yaml'],
      ['config', 'print', '-c', 'bad.yaml'],
      ['healthcheck', '-c', 'bad.yaml'],
      ['serve', '-c', 'bad.yaml'],
      ['-c', 'bad.yaml'],
    ]) {
      expect(await runHere(args, dir.path)).toEqual({
        code: 2,
        stdout: '',
        stderr:
          'bad.yaml:1: log.levl: unknown key (did you mean "level"?)\n' +
          'bad.yaml:2: server.listen: expected an address such as "127.0.0.1:5000", or ":5000" for every interface, got "x"\n',
      })
    }
  })

  it('says which flag is wrong', async () => {
    const { code, stderr } = await runHere(['serve', '--listen', 'x', '--data', ''], dir.path)
    expect(code).toBe(2)
    expect(stderr).toBe(
      '--listen: expected an address such as "127.0.0.1:5000", or ":5000" for every interface, got "x"\n' +
        '--data: expected the path of a directory, got ""\n',
    )
  })

  it('needs no file', async () => {
    const empty = join(dir.path, 'empty')
    await mkdir(empty)
    const { stdout } = await runHere(['config', 'check'], empty)
    expect(stdout).toContain('OK  no file: the embedded defaults\n')
    expect(stdout).toContain('default   docker.io\n')
  })
})

describe('config print', () => {
  it('shows what is in effect, with the environment, as YAML or JSON', async () => {
    const env = { OCI_MIRROR_LISTEN: ':7', OCI_MIRROR_CONFIG: 'mirror.config.yaml' }
    const yaml = await runHere(['config', 'print'], dir.path, env)
    expect(yaml).toMatchObject({ code: 0, stderr: '' })
    expect(yaml.stdout).toMatch(/^server:\n {2}listen: :7\n/)
    const json = await runHere(['config', 'print', '--output', 'json'], dir.path, env)
    expect(JSON.parse(json.stdout)).toMatchObject({ upstreams: { 'quay.io': { connections: 32 } } })
  })
})

describe('config schema', () => {
  it('needs no configuration, and is JSON', async () => {
    const { code, stdout } = await runHere(['config', 'schema', '-c', 'nowhere'], dir.path)
    expect(code).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject({ type: 'object', additionalProperties: false })
  })
})
