import { describe, expect, it } from 'vitest'
import { banner } from '../../src/cli/banner.ts'
import { clientLines } from '../../src/cli/client-lines.ts'
import { clientUrl } from '../../src/cli/client-url.ts'
import { load } from '../config/load.ts'

const FACTS = {
  version: '1.2.3',
  url: 'http://127.0.0.1:5000',
  clientUrl: 'http://127.0.0.1:5000',
  cwd: '/work',
  hasColor: false,
}

async function linesFor(input: object, url: string) {
  const { config } = await load(input)
  return new Map(clientLines(config, url).map(({ client, lines }) => [client, lines]))
}

async function urlFor(server: object, url: string) {
  const { config } = await load({ server })
  return clientUrl(config.server, url, () => 'machine')
}

describe('the banner', () => {
  it('says what runs, where, for whom, and how to point clients at it', async () => {
    const { config } = await load({ storage: { dir: '/data' } })
    expect(banner({ ...config, source: '/work/mirror.config.ts' }, FACTS)).toBe(`
  oci-mirror 1.2.3: a pull-through cache in front of 7 registries

  listens on   http://127.0.0.1:5000
  data         /data
  config       mirror.config.ts
  upstreams    docker.io (default), ghcr.io, quay.io, registry.k8s.io, gcr.io,
               mcr.microsoft.com, public.ecr.aws

  Point a client at it; whatever the mirror cannot give, it gets from the registry itself:

  containerd   # /etc/containerd/certs.d/_default/hosts.toml
               [host."http://127.0.0.1:5000"]
                 capabilities = ["pull", "resolve"]

  Docker       # /etc/docker/daemon.json
               { "registry-mirrors": ["http://127.0.0.1:5000"] }

  podman       # /etc/containers/registries.conf.d/oci-mirror.conf
               [[registry]]
               prefix = "docker.io"
               location = "docker.io"
               [[registry.mirror]]
               location = "127.0.0.1:5000/docker.io"
               insecure = true
               # and the same for each other registry

  The whole files: oci-mirror client-config containerd|docker|podman|buildkit|k3s

`)
  })

  it('says which registries are not asked as usual, or that none is asked at all', async () => {
    const upstreams = { 'docker.io': {}, 'a.example': { mode: 'cache-first' } }
    const some = await load({ upstreams: { ...upstreams, 'quay.io': { mode: 'offline' } } })
    expect(banner(some.config, FACTS)).toContain(
      'upstreams    docker.io (default), a.example (cache-first), quay.io (offline)\n',
    )
    const none = banner((await load({ upstreams }, { offline: true })).config, FACTS)
    expect(none).toContain('oci-mirror 1.2.3: offline, with what is here of 2 registries\n')
    expect(none).toContain('upstreams    docker.io (default), a.example\n')
    expect(none).toContain('Point a client at it; what is not here cannot be had:\n')
  })

  it('has colours only where they are wanted', async () => {
    const { config } = await load({})
    const plain = banner(config, FACTS)
    const colored = banner(config, { ...FACTS, hasColor: true })
    const escapes = new RegExp(String.raw`${String.fromCharCode(27)}\[\d+m`, 'g')
    expect(plain).not.toMatch(escapes)
    expect(colored).toMatch(escapes)
    expect(colored.replaceAll(escapes, '').replaceAll(/ +$/gm, '')).toBe(plain)
  })
})

describe('the lines for clients', () => {
  it('name docker.io to Docker if it is not the default upstream', async () => {
    const lines = await linesFor(
      { defaultUpstream: 'quay.io', upstreams: { 'quay.io': {}, 'docker.io': {} } },
      'https://m.example',
    )
    expect(lines.get('Docker')).toEqual(['{ "registry-mirrors": ["https://m.example/docker.io"] }'])
    expect(lines.get('podman')).toEqual([
      '[[registry]]',
      'prefix = "quay.io"',
      'location = "quay.io"',
      '[[registry.mirror]]',
      'location = "m.example/quay.io"',
      '# and the same for each other registry',
    ])
  })

  it('leave out Docker without docker.io, and podman behind a base path', async () => {
    const lines = await linesFor({ upstreams: { 'quay.io': {} } }, 'http://m:5000/base')
    expect([...lines]).toEqual([
      ['containerd', ['[host."http://m:5000/base"]', '  capabilities = ["pull", "resolve"]']],
    ])
  })
})

describe('the URL for clients', () => {
  it.each([
    ['where it listens', { basePath: '/b' }, 'http://127.0.0.1:5000/b', 'http://127.0.0.1:5000/b'],
    [
      'this machine for every interface',
      { listen: ':5000' },
      'http://localhost:5000',
      'http://machine:5000',
    ],
    [
      'this machine with the base path',
      { listen: '[::]:80', basePath: '/b' },
      'http://[::]:80/b',
      'http://machine:80/b',
    ],
    [
      'the public one',
      { publicUrl: 'https://m.example' },
      'http://127.0.0.1:5000',
      'https://m.example',
    ],
    [
      'the public one with the base path',
      { publicUrl: 'https://m.example/', basePath: '/b' },
      'http://127.0.0.1:5000/b',
      'https://m.example/b',
    ],
    [
      'the public one with a path of its own',
      { publicUrl: 'https://m.example/x/' },
      'http://127.0.0.1:5000',
      'https://m.example/x',
    ],
  ])('is %s', async (_title, server, url, expected) => {
    expect(await urlFor(server, url)).toBe(expected)
  })
})
