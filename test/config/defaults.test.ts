import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { loadConfig } from '../../src/config/load-config.ts'
import { makeTempDir } from '../support/temp-dir.ts'
import { load } from './load.ts'

const ROOT = join(import.meta.dirname, '../..')

const HOST_PLATFORM = `linux/${process.arch === 'x64' ? 'amd64' : process.arch}`

const DEFAULT_UPSTREAM = {
  mode: 'online',
  aliases: [],
  hosts: [],
  credentials: undefined,
  access: undefined,
  tags: {
    ttl: 300_000,
    patience: 2000,
    staleWhileRevalidate: 0,
    onGone: 'drop',
    authGrace: 3_600_000,
    immutable: [],
  },
  ca: undefined,
  insecure: false,
  tokenRealms: [],
  redirectHosts: [],
  connections: 32,
  rateLimit: { reserve: 10 },
  prefetch: true,
  proxies: { http: undefined, https: undefined, bypass: [] },
}

describe('the configuration without a file', () => {
  it('has every default', async () => {
    await using dir = await makeTempDir()
    const { config } = await loadConfig({ env: {}, cwd: dir.path, systemDir: dir.path })
    expect(config).toEqual({
      source: undefined,
      server: {
        listen: { host: '127.0.0.1', port: 5000 },
        basePath: '',
        publicUrl: undefined,
        names: [],
        catalog: false,
      },
      admin: { listen: { host: '127.0.0.1', port: 5001 } },
      storage: { dir: join(dir.path, 'data'), maxSize: undefined, minFree: { ratio: 0.1 } },
      defaultUpstream: 'docker.io',
      upstreams: expect.any(Map),
      staleIfError: 30 * 86_400_000,
      warm: { platforms: [HOST_PLATFORM], referrers: true, jobs: [] },
      log: { level: 'info', format: 'auto' },
    })
    expect([...config.upstreams]).toEqual(
      [
        ['docker.io', 'https://registry-1.docker.io'],
        ['ghcr.io', 'https://ghcr.io'],
        ['quay.io', 'https://quay.io'],
        ['registry.k8s.io', 'https://registry.k8s.io'],
        ['gcr.io', 'https://gcr.io'],
        ['mcr.microsoft.com', 'https://mcr.microsoft.com'],
        ['public.ecr.aws', 'https://public.ecr.aws'],
      ].map(([name, url]) => [
        name,
        { ...DEFAULT_UPSTREAM, name, endpoints: [new URL(url ?? '')] },
      ]),
    )
  })

  it('is what the example mirror.config.ts says too', async () => {
    await using empty = await makeTempDir()
    const example = join(ROOT, 'mirror.config.ts')
    const options = { env: {}, cwd: ROOT }
    const { config: embedded } = await loadConfig({
      env: {},
      cwd: empty.path,
      systemDir: empty.path,
    })
    const { config: written } = await loadConfig({ ...options, file: example })
    expect(written.source).toBe(example)
    const dir = join(ROOT, 'data')
    expect({ ...written, source: undefined }).toEqual({
      ...embedded,
      storage: { ...embedded.storage, dir },
    })
  })

  it('cannot be changed by accident', async () => {
    const { config } = await load({})
    const upstream = [...config.upstreams.values()][0]
    const parts = [config, config.server.listen, config.storage.minFree, upstream, upstream?.tags]
    expect(parts.every((part) => Object.isFrozen(part))).toBe(true)
  })
})

describe('upstreams that are given', () => {
  it('replace the default ones, and there is no default upstream without docker.io', async () => {
    const { config } = await load({ upstreams: { 'quay.io': {} } })
    expect([...config.upstreams.keys()]).toEqual(['quay.io'])
    expect(config.defaultUpstream).toBeUndefined()
  })

  it('have docker.io as the default upstream by any of its names', async () => {
    const { config } = await load({ upstreams: { 'quay.io': {}, 'index.docker.io': {} } })
    expect(config.defaultUpstream).toBe('docker.io')
  })

  it('may have another default upstream, or none', async () => {
    const upstreams = { 'docker.io': {}, 'quay.io': {} }
    const other = await load({ upstreams, defaultUpstream: 'Quay.io:443' })
    expect(other.config.defaultUpstream).toBe('quay.io')
    const none = await load({ upstreams, defaultUpstream: false })
    expect(none.config.defaultUpstream).toBeUndefined()
  })

  it('are dialled by https at their own name unless a URL is given', async () => {
    const { config } = await load({
      upstreams: {
        'localhost:5001': {},
        'a.example': { url: 'http://10.0.0.1:5000/registry' },
        'b.example': { endpoints: ['https://eu.b.example', 'https://b.example'] },
      },
    })
    const urls = [...config.upstreams.values()].map(({ endpoints }) => endpoints.map(String))
    expect(urls).toEqual([
      ['https://localhost:5001/'],
      ['http://10.0.0.1:5000/registry'],
      ['https://eu.b.example/', 'https://b.example/'],
    ])
  })

  it('keep their names, hosts and options in one canonical form', async () => {
    const { config } = await load({
      server: { names: ['Mirror.LAN:5000', 'mirror.example:443'], basePath: '/m', listen: ':5001' },
      upstreams: {
        'A.Example:443': {
          aliases: ['Hub', 'a.example'],
          hosts: ['HUB.lan', ':5001'],
          tokenRealms: ['registry-1.docker.io'],
          redirectHosts: ['MinIO.lan:9000'],
          access: 'shared',
          tags: { ttl: '1h30m', onGone: 'keep', immutable: ['v*'] },
          connections: 4,
        },
      },
    })
    expect(config.server.names).toEqual(['mirror.lan:5000', 'mirror.example'])
    expect([...config.upstreams.values()]).toMatchObject([
      {
        name: 'a.example',
        aliases: ['hub'],
        hosts: ['hub.lan', ':5001'],
        tokenRealms: ['registry-1.docker.io'],
        redirectHosts: ['minio.lan:9000'],
        access: 'shared',
        tags: { ttl: 5_400_000, patience: 2000, onGone: 'keep', immutable: ['v*'] },
        connections: 4,
      },
    ])
  })
})
