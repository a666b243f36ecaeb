import { afterEach, describe, expect, it } from 'vitest'
import { digestOf } from '../../src/oci/digest.ts'
import { buildArtifact, buildReferrersIndex, descriptor } from '../support/artifacts.ts'
import type { FakeRegistry } from '../support/fake-registry.ts'
import { buildImage, buildIndex } from '../support/images.ts'
import type { RegistryQuirks } from '../support/registry-quirks.ts'
import * as quirks from '../support/registry-quirks.ts'
import type { TestMirror } from '../support/test-mirror.ts'
import type { Quirky } from './quirky.ts'
import { startQuirky } from './quirky.ts'

const PAGE = '<!doctype html><title>Gallery</title>'

/** What only one registry does, and what the mirror makes of it. */
describe('a registry with habits of its own', () => {
  const image = buildImage({ seed: 'habits', layers: 1 })
  let registry: FakeRegistry
  let mirror: TestMirror
  let at: Quirky['at']

  async function start(
    registryQuirks: RegistryQuirks,
    settings?: Parameters<typeof startQuirky>[1],
  ): Promise<void> {
    ;({ registry, mirror, at } = await startQuirky(registryQuirks, settings))
    registry.add(registryQuirks.repository, image, 'v1')
  }
  afterEach(async () => {
    await mirror[Symbol.asyncDispose]()
    await registry.close()
  })

  async function get(path: string) {
    const response = await mirror.fetch(path)
    const body = Buffer.from(await response.arrayBuffer())
    return { status: response.status, headers: response.headers, body, digest: digestOf(body) }
  }

  const sent = () =>
    registry.requests.map(({ kind, status, headers }) => [
      kind,
      headers['authorization']?.split(' ')[0],
      status,
    ])

  it('quay.io: 401 for what does not exist is denied, without a challenge for the client', async () => {
    await start(quirks.quay())
    const { status, headers, body } = await get(at('manifests/v1', 'org/missing'))
    expect(status).toBe(403)
    expect(headers.get('www-authenticate')).toBeNull()
    expect(JSON.parse(body.toString())).toMatchObject({ errors: [{ code: 'DENIED' }] })
    expect(registry.count({ kind: 'token' })).toBe(2)
  })

  it('quay.io: a blob whose storage is down for long is a 503 without its page', async () => {
    await start(quirks.quay())
    const outage = registry.inject({ kind: 'blob', action: { status: 502, body: PAGE } })
    const path = at(`blobs/${image.config.digest}`)
    const { status, headers, body } = await get(path)
    expect(status).toBe(503)
    expect(Number(headers.get('retry-after'))).toBeGreaterThan(0)
    expect(body.toString()).not.toContain('html')
    expect(registry.count({ kind: 'blob', status: 502 })).toBe(3)
    outage.remove()
    expect((await get(path)).digest).toBe(image.config.digest)
  })

  it('Harbor: a token that is no good any more is replaced, and its Basic not answered', async () => {
    await start(quirks.harbor())
    await get(at('manifests/v1'))
    registry.revokeTokens()
    registry.reset()
    expect((await get(at(`blobs/${image.config.digest}`))).digest).toBe(image.config.digest)
    expect(sent()).toEqual([
      ['blob', 'Bearer', 401],
      ['blob', undefined, 401],
      ['token', 'Basic', 200],
      ['blob', 'Bearer', 200],
    ])
  })

  it('Harbor: a token that never becomes good is denied, and the password stays where it was', async () => {
    await start(quirks.harbor())
    registry.inject({ kind: 'manifest', action: { status: 401 } })
    const { status, headers } = await get(at('manifests/v1'))
    expect([status, headers.get('www-authenticate')]).toEqual([403, null])
    const passwords = registry.requests.filter(({ headers: fields }) =>
      fields['authorization']?.startsWith('Basic '),
    )
    expect(new Set(passwords.map(({ kind }) => kind))).toEqual(new Set(['token']))
    expect(registry.requests.length).toBeLessThan(8)
  })

  it('private ECR: a password that has run out is read again for the next request', async () => {
    const ecr = quirks.ecrPrivate()
    const login = { username: 'AWS', password: 'outdated' }
    await start(ecr, { credentials: () => Promise.resolve({ ...login }) })
    const refused = await get(at('manifests/v1'))
    expect(refused.status).toBe(403)
    expect(refused.body.toString()).not.toContain('outdated')
    login.password = ecr.login?.password ?? ''
    expect((await get(at('manifests/v1'))).digest).toBe(image.manifest.digest)
  })

  it('GitLab: the password goes to another host only where the operator has listed it', async () => {
    await start(quirks.gitlab(), { tokenRealms: [] })
    const { status, body } = await get(at('manifests/v1'))
    expect(status).toBe(502)
    expect(body.toString()).toContain('`tokenRealms`')
    expect(registry.count({ server: 'token' })).toBe(0)
    expect(registry.requests.every(({ headers }) => headers['authorization'] === undefined)).toBe(
      true,
    )
  })

  it('GitLab: the image itself under the tag of its referrers is no list of them', async () => {
    await start(quirks.gitlab())
    const index = buildIndex([image])
    registry.add('group/project/app', index)
    for (const { digest } of [image.manifest, index.manifest]) {
      const tag = digest.replace(':', '-')
      expect((await get(at(`manifests/${tag}`))).digest).toBe(digest)
      const { status, body } = await get(at(`referrers/${digest}`))
      expect([status, JSON.parse(body.toString())]).toMatchObject([200, { manifests: [] }])
    }
  })

  it('GitLab: a list of referrers that a signer has put under that tag is found', async () => {
    await start(quirks.gitlab())
    const { digest } = image.manifest
    const entries = [descriptor(buildArtifact({ subject: image.manifest }).manifest)]
    const list = buildReferrersIndex(entries)
    registry.addManifest('group/project/app', list, digest.replace(':', '-'))
    const { body } = await get(at(`referrers/${digest}`))
    expect(JSON.parse(body.toString())).toMatchObject({ manifests: entries })
  })

  it.each([
    ['GitLab', quirks.gitlab],
    ['private ECR', quirks.ecrPrivate],
  ])(
    '%s: storage elsewhere gets no authorization, although its URLs do not look signed',
    async (_, make) => {
      const usual = make()
      await start({ ...usual, options: { ...usual.options, redirect: { signedBy: 'ticket' } } })
      expect((await get(at(`blobs/${image.config.digest}`))).digest).toBe(image.config.digest)
      const stored = registry.requests.filter(({ server }) => server === 'cdn')
      expect(stored.map(({ headers }) => headers['authorization'])).toEqual([undefined])
    },
  )

  it('registry.k8s.io: tags are where the manifests are, and their next page is with us', async () => {
    await start(quirks.registryK8s())
    registry.add('pause', image, 'v2')
    const first = await get(at('tags/list') + '&n=1')
    expect(JSON.parse(first.body.toString())).toEqual({ name: 'pause', tags: ['v1'] })
    const link = '</v2/pause/tags/list?n=1&last=v1&ns=registry.k8s.io>; rel="next"'
    expect(first.headers.get('link')).toBe(link)
    const second = await get(link.slice(1, link.indexOf('>')))
    expect(JSON.parse(second.body.toString())).toEqual({ name: 'pause', tags: ['v2'] })
    expect(registry.count({ kind: 'tags', server: 'cdn', status: 200 })).toBe(2)
  })

  it('registry.k8s.io: a backend that vanishes is a 503, and its return is noticed', async () => {
    await start(quirks.registryK8s())
    await registry.stop('cdn')
    expect((await get(at('manifests/v1'))).status).toBe(503)
    await registry.restart('cdn')
    expect((await get(at('manifests/v1'))).digest).toBe(image.manifest.digest)
  })

  it('Red Hat: announces signatures of its own, which this mirror does not claim to have', async () => {
    await start(quirks.redhat())
    const { headers, digest } = await get(at('manifests/v1'))
    expect(digest).toBe(image.manifest.digest)
    expect(headers.get('x-registry-supports-signatures')).toBeNull()
    expect(headers.get('content-encoding')).toBeNull()
    const signatures = `/extensions/v2/ubi9/app/signatures/${image.manifest.digest}`
    expect((await get(signatures)).status).toBe(404)
    expect(registry.requests.some(({ path }) => path.startsWith('/extensions'))).toBe(false)
  })

  it.each(['manifests/v1', `manifests/${image.manifest.digest}`, `blobs/${image.config.digest}`])(
    'a registry that compresses %s although it may not is refused, and nothing is kept',
    async (path) => {
      await start(quirks.mcr())
      for (const kind of ['manifest', 'blob'] as const)
        registry.inject({ kind, action: { gzip: true } })
      expect((await get(at(path))).status).toBe(502)
      expect(await Array.fromAsync(mirror.store.list())).toEqual([])
    },
  )

  it.each(['manifests/v1', `manifests/${image.manifest.digest}`, `blobs/${image.config.digest}`])(
    'a gallery that answers %s with a page is no registry, and its page is not kept',
    async (path) => {
      await start(quirks.mcr())
      const headers = { 'content-type': 'text/html; charset=utf-8' }
      registry.inject({ action: { status: 200, headers, body: PAGE } })
      const { status, body } = await get(at(path))
      expect(status).toBe(502)
      expect(body.toString()).not.toContain('Gallery')
      expect(await Array.fromAsync(mirror.store.list())).toEqual([])
    },
  )

  it("Artifactory: a HEAD without a digest is completed by one GET, shared with the client's own", async () => {
    await start(quirks.artifactory())
    const head = await mirror.head(at('manifests/v1'))
    expect(head.headers.get('docker-content-digest')).toBe(image.manifest.digest)
    await get(at('manifests/v1'))
    await get(at(`manifests/${image.manifest.digest}`))
    expect(registry.count({ kind: 'manifest', method: 'GET', status: 200 })).toBe(1)
    const paths = registry.requests
      .filter(({ kind }) => kind === 'manifest')
      .map(({ path }) => path)
    expect(new Set(paths)).toEqual(
      new Set(['/artifactory/api/docker/remote/v2/team/app/manifests/v1']),
    )
  })
})
