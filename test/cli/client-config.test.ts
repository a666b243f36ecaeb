import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { quoted } from '../../src/cli/client-setup.ts'
import type { TempDir } from '../support/temp-dir.ts'
import { makeTempDir } from '../support/temp-dir.ts'
import { runHere } from './fake-terminal.ts'

const HINT = 'Run "oci-mirror help" to see what there is.\n'
const PLAIN = ['--url', 'http://mirror.lan:5000']
let dir: TempDir

beforeEach(async () => {
  dir = await makeTempDir()
  await configure({ upstreams: { 'docker.io': {}, 'registry.corp:5000': {} } })
})
afterEach(() => dir.remove())

function configure(config: object) {
  return writeFile(join(dir.path, 'mirror.config.json'), JSON.stringify(config))
}

function clientConfig(...args: readonly string[]) {
  return runHere(['client-config', ...args], dir.path)
}

/** The files that were printed, by their places. */
async function filesFor(...args: readonly string[]): Promise<ReadonlyMap<string, string>> {
  const { code, stdout, stderr } = await clientConfig(...args, '--output', 'json')
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  const { files } = JSON.parse(stdout) as { files: { path: string; text: string }[] }
  return new Map(files.map(({ path, text }) => [path, text]))
}

function made(place: string): string {
  return `# Made by oci-mirror client-config; its place is ${place}\n`
}

describe('client-config containerd', () => {
  it('has a file for each upstream and no other, so that only those are asked for', async () => {
    const place = (name: string) => `/etc/containerd/certs.d/${name}/hosts.toml`
    const host =
      '[host."http://mirror.lan:5000"]\n  capabilities = ["pull", "resolve"]\n  dial_timeout = "3s"\n'
    expect([...(await filesFor('containerd', ...PLAIN))]).toEqual([
      [place('docker.io'), made(place('docker.io')) + host],
      [place('registry.corp:5000'), made(place('registry.corp:5000')) + host],
    ])
  })

  it('makes the mirror the last one to be asked if there is to be no fallback', async () => {
    const files = await filesFor('containerd', '--no-fallback', '--url', 'https://m.example/base/')
    expect(files.get('/etc/containerd/certs.d/docker.io/hosts.toml')).toBe(
      [
        made('/etc/containerd/certs.d/docker.io/hosts.toml').trimEnd(),
        '# The last to be asked for docker.io is the mirror too, and so never the registry itself.',
        'server = "https://m.example/base"',
        '',
        '[host."https://m.example/base"]',
        '  capabilities = ["pull", "resolve"]',
        '',
      ].join('\n'),
    )
  })
})

describe('client-config docker', () => {
  it('serves both image stores, and trusts plain HTTP where Docker would not', async () => {
    const files = await filesFor('docker', ...PLAIN)
    expect([...files.keys()]).toEqual([
      '/etc/docker/daemon.json',
      '/etc/docker/certs.d/docker.io/hosts.toml',
      '/etc/docker/certs.d/registry.corp:5000/hosts.toml',
    ])
    expect(JSON.parse(files.get('/etc/docker/daemon.json') ?? '')).toEqual({
      'registry-mirrors': ['http://mirror.lan:5000'],
      'insecure-registries': ['mirror.lan:5000'],
    })
    expect(files.get('/etc/docker/certs.d/docker.io/hosts.toml')).toContain(
      '[host."http://mirror.lan:5000"]\n',
    )
  })

  it.each(['http://127.0.0.1:5000', 'http://localhost:5000', 'http://[::1]:5000', 'https://m.lan'])(
    'lists no insecure registry for %s',
    async (url) => {
      const files = await filesFor('docker', '--url', url)
      expect(JSON.parse(files.get('/etc/docker/daemon.json') ?? '')).toEqual({
        'registry-mirrors': [url],
      })
    },
  )

  it('names Docker Hub in the path if it is not the default upstream', async () => {
    await configure({ defaultUpstream: 'quay.io', upstreams: { 'docker.io': {}, 'quay.io': {} } })
    const files = await filesFor('docker', '--url', 'https://m.lan')
    expect(files.get('/etc/docker/daemon.json')).toContain('"https://m.lan/docker.io"')
  })

  it.each([
    ['Docker Hub is not mirrored', ['--url', 'https://m.lan'], { 'quay.io': {} }],
    ['there is to be no fallback', ['--url', 'https://m.lan', '--no-fallback'], undefined],
  ])('has no daemon.json if %s', async (_title, args, upstreams) => {
    if (upstreams !== undefined) await configure({ upstreams })
    const files = await filesFor('docker', ...args)
    expect(files.size).toBeGreaterThan(0)
    expect([...files.keys()].every((path) => path.endsWith('/hosts.toml'))).toBe(true)
  })
})

describe('the notes of client-config docker', () => {
  it.each([[[]], [['--no-fallback']]])(
    'name images at the mirror where that works: %j',
    async (args) => {
      const pull = 'docker pull mirror.lan:5000/REGISTRY/IMAGE'
      expect((await clientConfig('docker', ...PLAIN, ...args)).stderr).toContain(pull)
      const { stderr } = await clientConfig('docker', '--url', 'https://m.lan/base', ...args)
      expect(stderr).not.toContain('docker pull')
      expect(stderr).toContain('cannot be pulled by name either')
    },
  )
})

describe('client-config podman', () => {
  it('puts the registry into the path of the mirror, by an alias if it has a port', async () => {
    const upstreams = { 'docker.io': {}, 'registry.corp:5000': { aliases: ['corp'] } }
    await configure({ upstreams })
    const place = '/etc/containers/registries.conf.d/oci-mirror.conf'
    const block = (name: string, path: string) =>
      `\n[[registry]]\nprefix = "${name}"\nlocation = "${name}"\n` +
      `[[registry.mirror]]\nlocation = "mirror.lan:5000/${path}"\ninsecure = true\n`
    expect([...(await filesFor('podman', ...PLAIN))]).toEqual([
      [place, made(place) + block('docker.io', 'docker.io') + block('registry.corp:5000', 'corp')],
    ])
  })

  it('says what becomes of short names', async () => {
    expect((await clientConfig('podman', ...PLAIN)).stderr).toContain(
      'unqualified-search-registries',
    )
  })

  it('leaves out a registry with a port and no alias, which podman cannot name, and says so', async () => {
    const { stdout, stderr } = await clientConfig('podman', ...PLAIN)
    expect(stdout.match(/^prefix = .*$/gm)).toEqual(['prefix = "docker.io"'])
    expect(stderr).toMatch(/^note: podman cannot have the port of registry\.corp:5000 .*alias/m)
  })

  it('puts the mirror in the place of the registry if there is to be no fallback', async () => {
    await configure({ upstreams: { 'docker.io': {}, 'quay.io': {} } })
    const place = '/etc/containers/registries.conf.d/oci-mirror.conf'
    const block = (name: string) =>
      `\n[[registry]]\nprefix = "${name}"\nlocation = "m.lan/${name}"\n`
    const files = await filesFor('podman', '--no-fallback', '--url', 'https://m.lan')
    expect([...files]).toEqual([[place, made(place) + block('docker.io') + block('quay.io')]])
  })
})

describe('client-config buildkit', () => {
  it('names the mirror as a host, and says apart from that whether it speaks plain HTTP', async () => {
    const place = '/etc/buildkit/buildkitd.toml'
    const mirrors = (name: string) => `\n[registry."${name}"]\n  mirrors = ["mirror.lan:5000"]\n`
    expect([...(await filesFor('buildkit', ...PLAIN))]).toEqual([
      [
        place,
        made(place) +
          mirrors('docker.io') +
          mirrors('registry.corp:5000') +
          '\n[registry."mirror.lan:5000"]\n  http = true\n',
      ],
    ])
    const [text] = (await filesFor('buildkit', '--url', 'https://m.lan')).values()
    expect(text).not.toContain('http')
  })
})

describe('client-config k3s', () => {
  it.each([
    ['http://mirror.lan:5000', 'http://mirror.lan:5000'],
    ['https://m.lan/base', 'https://m.lan/base/v2'],
  ])('has an endpoint for each upstream: %s', async (url, endpoint) => {
    const files = await filesFor('k3s', '--url', url)
    expect([...files.keys()]).toEqual(['/etc/rancher/k3s/registries.yaml'])
    expect(parse(files.get('/etc/rancher/k3s/registries.yaml') ?? '')).toEqual({
      mirrors: {
        'docker.io': { endpoint: [endpoint] },
        'registry.corp:5000': { endpoint: [endpoint] },
      },
    })
  })

  it('switches the default endpoint off in a file of its own if there is to be no fallback', async () => {
    const files = await filesFor('k3s', '--no-fallback', ...PLAIN)
    const text = files.get('/etc/rancher/k3s/config.yaml.d/oci-mirror.yaml')
    expect(parse(text ?? '')).toEqual({ 'disable-default-registry-endpoint': true })
  })
})

describe('client-config', () => {
  it('prints files to stdout, each with its place, and what else to do to stderr', async () => {
    const { code, stdout, stderr } = await clientConfig('docker', ...PLAIN)
    expect(code).toBe(0)
    expect(stdout.match(/^#.*$/gm)).toEqual([
      '# /etc/docker/daemon.json',
      made('/etc/docker/certs.d/docker.io/hosts.toml').trimEnd(),
      made('/etc/docker/certs.d/registry.corp:5000/hosts.toml').trimEnd(),
    ])
    expect(stderr.split('\n').filter((line) => !line.startsWith('note: '))).toEqual([''])
    expect(stderr).toContain('systemctl reload docker')
  })

  it('says what to do with several files in one', async () => {
    const note = 'note: these are 3 files in one: --write DIR puts each into its place\n'
    expect((await clientConfig('docker', ...PLAIN)).stderr).toContain(note)
    expect((await clientConfig('buildkit', ...PLAIN)).stderr).not.toContain('files in one')
  })

  it.each([
    [{ listen: '10.0.0.1:7000', basePath: '/b' }, 'http://10.0.0.1:7000/b'],
    [{ listen: '127.0.0.1:0', publicUrl: 'https://m.example' }, 'https://m.example'],
    [{ basePath: '/b', publicUrl: 'https://m.example' }, 'https://m.example/b'],
  ])('takes the URL from the configuration %j', async (server, url) => {
    await configure({ server })
    const { stdout } = await clientConfig('containerd', '-o', 'json')
    expect(JSON.parse(stdout)).toMatchObject({ client: 'containerd', url })
  })

  it('adds the base path to a URL that has none', async () => {
    await configure({ server: { basePath: '/b' } })
    const { stdout } = await clientConfig('containerd', '-o', 'json', '--url', 'https://m.example')
    expect(JSON.parse(stdout)).toMatchObject({ url: 'https://m.example/b' })
  })

  it('says that a URL on loopback is for this machine only', async () => {
    const { stderr } = await clientConfig('podman')
    expect(stderr).toContain('note: http://127.0.0.1:5000 is for clients on this machine: ')
    expect((await clientConfig('podman', ...PLAIN)).stderr).not.toContain('this machine')
  })

  it.each([
    [['nerdctl'], /'nerdctl' is invalid for argument 'client'.*containerd, docker, podman, /],
    [['podman', '--url', 'm.lan'], /^error: --url: expected a URL with http:\/\/ .*got "m\.lan"$/m],
    [['podman', '--url', 'https://m.lan/base'], /^error: podman puts nothing before \/v2, /],
    [['buildkit', '--url', 'https://m.lan/base'], /^error: BuildKit puts nothing before \/v2, /],
    [['buildkit', '--no-fallback'], /^error: BuildKit always goes on to the registry itself /],
  ])('refuses %j', async (args, message) => {
    const { code, stdout, stderr } = await clientConfig(...args)
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toMatch(message)
    expect(stderr).toContain(HINT)
  })

  it('asks for the URL if the system is to choose the port', async () => {
    await configure({ server: { listen: '127.0.0.1:0' } })
    const { code, stderr } = await clientConfig('containerd')
    expect(code).toBe(2)
    expect(stderr).toContain('say with --url where clients find the mirror')
  })

  it('writes text so that it stays one string in TOML, YAML and JSON', () => {
    const text = 'a"b\\c\nd\u007f\u0001'
    expect(quoted(text)).toBe(String.raw`"a\"b\\c\nd\u007f\u0001"`)
    expect([JSON.parse(quoted(text)), parse(quoted(text))]).toEqual([text, text])
  })
})
