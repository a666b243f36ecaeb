import { rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { loadConfig } from '../src/config/load-config.ts'
import type { Upstream } from '../src/core/upstream.ts'
import type { UpstreamRequestEvent } from '../src/upstream/options.ts'
import { openUpstream } from '../src/upstream/registry-upstream.ts'
import { registryOptions } from '../src/wire-upstreams.ts'
import { FakeHelper } from './support/fake-helper.ts'
import type { FakeRegistry } from './support/fake-registry.ts'
import { buildImage } from './support/images.ts'
import type { TempDir } from './support/temp-dir.ts'
import { makeTempDir } from './support/temp-dir.ts'
import { hastyClock, repo, tag } from './upstream/open-for.ts'
import type { FakeOptions } from './upstream/opened.ts'
import { Opened } from './upstream/opened.ts'

const IMAGE = buildImage({ layers: 1 })
const OLD = 'canary-old'
const NEW = 'canary-new'
const { signal } = new AbortController()

/** Each form of `auth`, from the configuration file to the wire. */
describe('configured credentials', () => {
  const opened = new Opened()
  const events: UpstreamRequestEvent[] = []
  let dir: TempDir
  beforeEach(async () => {
    dir = await makeTempDir()
    events.length = 0
  })
  afterEach(async () => {
    await opened.close()
    await dir.remove()
  })

  async function start(auth: NonNullable<FakeOptions['auth']>): Promise<FakeRegistry> {
    const registry = await opened.registry({ auth })
    registry.add('library/x', IMAGE, '1')
    return registry
  }

  async function open(registry: FakeRegistry, auth: object): Promise<Upstream> {
    const entry = { url: registry.url, access: 'shared', auth }
    await write('mirror.config.json', JSON.stringify({ upstreams: { 'a.example': entry } }))
    const { config } = await loadConfig({ env: process.env, cwd: dir.path, systemDir: dir.path })
    const [upstream] = config.upstreams.values()
    if (upstream === undefined) throw new Error('no upstream')
    const onRequest = (event: UpstreamRequestEvent) => events.push(event)
    const { client } = openUpstream(registryOptions(upstream), { clock: hastyClock, onRequest })
    opened.add(client)
    return client
  }

  /** In one piece, as Kubernetes and careful people replace secrets. */
  async function write(file: string, text: string): Promise<void> {
    await writeFile(join(dir.path, `${file}.new`), text)
    await rename(join(dir.path, `${file}.new`), join(dir.path, file))
  }

  const pull = (upstream: Upstream) =>
    upstream.getManifest(repo('library/x'), tag('1'), signal).then(
      (manifest) => (manifest === undefined ? 'missing' : 'found'),
      (failure: unknown) => String(failure),
    )

  function dockerConfig(password: string): string {
    const auth = Buffer.from(`mirror:${password}`).toString('base64')
    return JSON.stringify({ auths: { 'https://a.example/v2/': { auth } } })
  }

  const basic = { kind: 'basic', users: { mirror: NEW } } as const
  const token = { kind: 'token', users: { mirror: NEW } } as const
  const bearer = {
    kind: 'custom',
    challenges: ['Bearer realm="https://auth.a.example/"'],
    accepts: (sent: string) => sent === `Bearer ${NEW}`,
  } as const
  const password = { username: 'mirror', password: { file: 'secret' } }
  const plain = (secret: string) => `${secret}\n`

  it.each([
    ['a password', basic, password, 'secret', plain],
    ['a password for a token server', token, password, 'secret', plain],
    ['a token', bearer, { token: { file: 'secret' } }, 'secret', plain],
    ['a Docker file', basic, { dockerConfig: 'config.json' }, 'config.json', dockerConfig],
  ] as const)('are those that %s has now, without a restart', async (_, kind, auth, file, form) => {
    await write(file, form(OLD))
    const registry = await start(kind)
    const upstream = await open(registry, auth)
    const refusal = await pull(upstream)
    expect(refusal).toContain('refuse')
    expect(refusal).not.toContain('canary')
    await write(file, form(NEW))
    expect(await pull(upstream)).toBe('found')
    expect(JSON.stringify(events)).not.toMatch(/canary|Basic|Bearer/)
  })

  it('come from the helper that the Docker file or the configuration names', async () => {
    const helper = await FakeHelper.start('test-login')
    opened.add(helper)
    await helper.answer('mirror', NEW)
    const registry = await start(basic)
    await write('config.json', JSON.stringify({ credHelpers: { 'a.example': 'test-login' } }))
    expect(await pull(await open(registry, { dockerConfig: 'config.json' }))).toBe('found')
    const named = { helper: 'test-login', server: 'https://other.example/' }
    expect(await pull(await open(registry, named))).toBe('found')
    expect((await helper.calls()).toSorted()).toEqual([
      'get a.example',
      'get https://other.example/',
    ])
  })

  it('may become unreadable under a running mirror, which says where it looked', async () => {
    await write('config.json', dockerConfig(NEW))
    const registry = await start(basic)
    const upstream = await open(registry, { dockerConfig: 'config.json' })
    expect(await pull(upstream)).toBe('found')
    await write('config.json', '{"auths": canary')
    const failure = await upstream.getManifest(repo('library/x'), tag('1'), signal).then(
      () => undefined,
      (reason: unknown) => reason,
    )
    expect(failure).toMatchObject({
      kind: 'unavailable',
      cause: {
        message: `cannot read the credentials of a.example: ${join(dir.path, 'config.json')} is not JSON`,
      },
    })
    await write('config.json', dockerConfig(NEW))
    expect(await pull(upstream)).toBe('found')
  })
})
