import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { AccessPolicy } from '../../src/core/access-policy.ts'
import { FakeRegistry } from '../support/fake-registry.ts'
import { buildImage } from '../support/images.ts'
import { rawRequest } from '../support/raw-request.ts'
import type { TempDir } from '../support/temp-dir.ts'
import { makeTempDir } from '../support/temp-dir.ts'
import type { TestMirrorOptions } from '../support/test-mirror.ts'
import { TestMirror } from '../support/test-mirror.ts'

const IMAGE = buildImage({ layers: 1 })
/** In the order of ASCII, as clients get them. */
const HELD = ['docker.io/library/app', 'docker.io/org/app', 'docker.io/org/app-2', 'quay.io/org/x']

describe('_catalog', () => {
  let hub: FakeRegistry
  let quay: FakeRegistry
  let mirror: TestMirror
  let dir: TempDir

  async function start(options: Partial<TestMirrorOptions> = {}): Promise<void> {
    const upstreams = { 'docker.io': { registry: hub }, 'quay.io': { registry: quay } }
    mirror = await TestMirror.start({ upstreams, catalog: true, ...options }, dir)
  }

  async function pull(...names: readonly string[]): Promise<void> {
    for (const name of names) await pullFrom('/v2/', name)
  }

  async function pullFrom(root: string, ...names: readonly string[]): Promise<void> {
    for (const name of names) {
      const response = await mirror.fetch(`${root}${name}/manifests/v1`)
      expect(response.status).toBe(200)
      await response.arrayBuffer()
    }
  }

  async function list(path = '/v2/_catalog') {
    const response = await mirror.fetch(path)
    const link = /^<(.+)>; rel="next"$/.exec(response.headers.get('link') ?? '')?.[1]
    return { status: response.status, body: (await response.json()) as object, link }
  }

  beforeEach(async () => {
    dir = await makeTempDir()
    hub = await FakeRegistry.start()
    quay = await FakeRegistry.start()
    for (const name of ['library/app', 'org/app', 'org/app-2', 'org/later']) {
      hub.add(name, IMAGE, 'v1')
    }
    quay.add('org/x', IMAGE, 'v1')
  })
  afterEach(async () => {
    await mirror[Symbol.asyncDispose]()
    await hub.close()
    await quay.close()
    await dir.remove()
  })

  it('is not answered unless the operator asks for it', async () => {
    await start({ catalog: false })
    await pull('library/app')
    expect(await list()).toMatchObject({
      status: 404,
      body: { errors: [{ code: 'UNSUPPORTED', message: expect.any(String) }] },
    })
  })

  it('lists what is held, by names that can be pulled, and asks nobody', async () => {
    await start()
    expect(await list()).toEqual({ status: 200, body: { repositories: [] }, link: undefined })
    await pull('library/app', 'docker.io/org/app', 'quay.io/org/x')
    await mirror.head('/v2/org/later/tags/list')
    const asked = hub.count() + quay.count()
    expect(await list()).toEqual({
      status: 200,
      body: { repositories: ['docker.io/library/app', 'docker.io/org/app', 'quay.io/org/x'] },
      link: undefined,
    })
    expect(hub.count() + quay.count()).toBe(asked)
    await hub.stop()
    await pull('docker.io/library/app')
  })

  it('does not list what was asked for and is not held', async () => {
    await start()
    await mirror.fetch('/v2/quay.io/org/nothing/manifests/v1')
    await mirror.fetch(`/v2/org/app/referrers/${IMAGE.manifest.digest}`)
    await mirror.head(`/v2/org/later/blobs/${IMAGE.config.digest}`)
    expect((await list()).body).toEqual({ repositories: [] })
  })

  it.each([1, 2, 3, 10_000])('can be walked in pages of %i', async (n) => {
    await start()
    await pull(...HELD)
    const pages: (readonly string[])[] = []
    for (let next: string | undefined = `/v2/_catalog?n=${n}`; next !== undefined;) {
      const { body, link } = await list(next)
      pages.push((body as { repositories: readonly string[] }).repositories)
      next = link
    }
    expect(pages.flat()).toEqual(HELD)
    expect(pages).toHaveLength(Math.ceil(HELD.length / n))
  })

  it('links the next page below the base path and the prefix of the request', async () => {
    await start({ basePath: '/mirror' })
    await pullFrom('/mirror/v2/', 'library/app', 'org/app')
    const first = await list('/mirror/docker.io/v2/_catalog?n=1')
    expect(first.link).toBe('/mirror/docker.io/v2/_catalog?n=1&last=library%2Fapp')
    expect((await list(first.link)).body).toEqual({ repositories: ['org/app'] })
    const all = await list('/mirror/v2/_catalog?n=1')
    expect(all.link).toBe('/mirror/v2/_catalog?n=1&last=docker.io%2Flibrary%2Fapp')
  })

  it.each([
    ['ns', '/v2/', 'ns=docker.io', []],
    ['oci-ref-name', '/v2/', 'oci-ref-name=docker.io', []],
    ['a header', '/v2/', '', [['OCI-Namespace', 'docker.io']]],
    ['a prefix', '/docker.io/v2/', '', []],
    ['the host', '/v2/', '', [['Host', 'hub.lan']]],
  ] as const)('lists the one registry that is selected by %s', async (_, root, query, headers) => {
    const upstreams = {
      'docker.io': { registry: hub, hosts: ['hub.lan'] },
      'quay.io': { registry: quay },
      'docker.io:5000': { registry: hub },
    }
    await start({ upstreams })
    await pull(...HELD, 'docker.io:5000/org/app')
    const ask = (target: string) => rawRequest({ port: mirror.port, target, headers })
    const names: string[] = []
    for (let next: string | undefined = `${root}_catalog?n=1&${query}`; next !== undefined;) {
      const answer = await ask(next)
      expect(answer.status).toBe(200)
      const body = JSON.parse(answer.body.toString()) as { repositories: readonly string[] }
      names.push(...body.repositories)
      next = /^<(.+)>; rel="next"$/.exec(answer.headers['link'] ?? '')?.[1]
    }
    expect(names).toEqual(['library/app', 'org/app', 'org/app-2'])
    for (const name of names) {
      expect((await ask(`${root}${name}/manifests/v1?${query}`)).status).toBe(200)
    }
  })

  it('varies by the header that selects the registry', async () => {
    await start()
    const headers = { 'OCI-Namespace': 'quay.io' }
    const response = await mirror.fetch('/v2/_catalog', { headers })
    expect(response.headers.get('vary')).toContain('OCI-Namespace')
    expect(await response.json()).toEqual({ repositories: [] })
  })

  it('goes on behind a name that is not there, and is empty for n=0 and after its end', async () => {
    await start()
    await pull('library/app', 'quay.io/org/x')
    expect((await list('/v2/_catalog?last=docker.io/m')).body).toEqual({
      repositories: ['quay.io/org/x'],
    })
    for (const query of ['n=0', 'last=zzz', 'last=%7E%27%22--']) {
      expect(await list(`/v2/_catalog?${query}`)).toEqual({
        status: 200,
        body: { repositories: [] },
        link: undefined,
      })
    }
  })

  it.each(['n=-1', 'n=1e9', 'n=x', 'last=%00', 'n=1&n=2'])('refuses %s', async (query) => {
    await start()
    expect((await list(`/v2/_catalog?${query}`)).status).toBe(400)
  })

  it('shows nobody what they may not pull, and fills its pages all the same', async () => {
    const access: AccessPolicy = {
      decide: (_, { name }) =>
        name === 'org/app'
          ? { allowed: false, code: 'DENIED', rule: 'no org/app' }
          : { allowed: true },
    }
    await start()
    await pull(...HELD)
    await mirror[Symbol.asyncDispose]()
    await start({ access })
    expect(await list('/v2/_catalog?n=2')).toEqual({
      status: 200,
      body: { repositories: ['docker.io/library/app', 'docker.io/org/app-2'] },
      link: '/v2/_catalog?n=2&last=docker.io%2Forg%2Fapp-2',
    })
  })

  it('does not list what belongs to an upstream that is not configured any more', async () => {
    await start()
    await pull(...HELD)
    await mirror[Symbol.asyncDispose]()
    await start({ upstreams: { 'quay.io': { registry: quay } } })
    expect((await list()).body).toEqual({ repositories: ['quay.io/org/x'] })
  })
})
