import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { TagPolicy } from '../../src/core/freshness.ts'
import type { Digest } from '../../src/oci/digest.ts'
import { OCI_INDEX } from '../../src/oci/media-types.ts'
import { buildArtifact, buildReferrersIndex, descriptor } from '../support/artifacts.ts'
import { ManualClock } from '../support/clock.ts'
import type { FakeRegistryOptions } from '../support/fake-registry.ts'
import { FakeRegistry } from '../support/fake-registry.ts'
import type { FaultAction } from '../support/fault.ts'
import { buildImage, buildIndex } from '../support/images.ts'
import type { TestImage } from '../support/images.ts'
import type { TempDir } from '../support/temp-dir.ts'
import { makeTempDir } from '../support/temp-dir.ts'
import { TestMirror } from '../support/test-mirror.ts'

const MINUTE = 60_000
const TTL = 5 * MINUTE
const SIGNATURE_TYPE = 'application/vnd.example.signature'
const SBOM_TYPE = 'application/vnd.example.sbom'

const IMAGE = buildImage({ layers: 1 })
const SUBJECT = IMAGE.manifest.digest
const SIGNATURE = buildArtifact({
  subject: IMAGE.manifest,
  artifactType: SIGNATURE_TYPE,
  annotations: { 'org.example.signer': 'alice' },
  seed: 'signature',
})
const SBOM = buildArtifact({ subject: IMAGE.manifest, configType: SBOM_TYPE, seed: 'sbom' })
const LATER = buildArtifact({
  subject: IMAGE.manifest,
  artifactType: SIGNATURE_TYPE,
  seed: 'later',
})
const FALLBACK_TAG = SUBJECT.replace(':', '-')
const WITH_API = { referrersPage: 100 }
/** What a load balancer says for a moment. */
const NO_REGISTRY: FaultAction = { status: 404, body: '<html>' }

const entryOf = ({ manifest }: TestImage, artifactType: string, annotations?: object) => ({
  ...descriptor(manifest),
  artifactType,
  ...(annotations && { annotations }),
})
const SIGNATURE_ENTRY = entryOf(SIGNATURE, SIGNATURE_TYPE, { 'org.example.signer': 'alice' })
const SBOM_ENTRY = entryOf(SBOM, SBOM_TYPE)
const LATER_ENTRY = entryOf(LATER, SIGNATURE_TYPE)

describe('referrers', () => {
  let dir: TempDir
  let registry: FakeRegistry
  let mirror: TestMirror
  let clock: ManualClock
  let tags: Partial<TagPolicy>

  const openMirror = () =>
    TestMirror.start({ upstreams: { 'docker.io': { registry, tags } }, clock }, dir)

  async function start(
    lists: FakeRegistryOptions['lists'] = WITH_API,
    policy: Partial<TagPolicy> = {},
  ): Promise<void> {
    tags = policy
    registry = await FakeRegistry.start({ lists })
    registry.add('library/app', IMAGE, 'v1')
    mirror = await openMirror()
  }

  function sign(...artifacts: readonly TestImage[]): void {
    for (const artifact of artifacts) registry.add('library/app', artifact)
  }

  /** What `cosign` and `oras` do where there is no API. */
  function setFallback(...entries: readonly object[]): void {
    registry.addManifest('library/app', buildReferrersIndex(entries), FALLBACK_TAG)
  }

  async function list(query = '', subject: Digest = SUBJECT) {
    const response = await mirror.fetch(`/v2/library/app/referrers/${subject}${query}`)
    const body = (await response.json()) as { manifests?: readonly object[]; errors?: unknown }
    const how = (response.headers.get('cache-status') ?? '').replace('oci-mirror; ', '')
    return { status: response.status, body, entries: body.manifests, how, response }
  }

  beforeEach(async () => {
    dir = await makeTempDir()
    clock = new ManualClock()
  })
  afterEach(async () => {
    await mirror[Symbol.asyncDispose]()
    await registry.close()
    await dir.remove()
  })

  it('come from the registry, as exactly an index', async () => {
    await start()
    sign(SIGNATURE, SBOM)
    const { status, body, response } = await list()
    expect(status).toBe(200)
    expect(response.headers.get('content-type')).toBe(OCI_INDEX)
    expect(response.headers.get('oci-filters-applied')).toBeNull()
    expect(response.headers.get('link')).toBeNull()
    expect(body).toEqual({
      schemaVersion: 2,
      mediaType: OCI_INDEX,
      manifests: [SIGNATURE_ENTRY, SBOM_ENTRY],
    })
  })

  it('are filtered by us, whether the registry can or not', async () => {
    await start()
    sign(SIGNATURE, SBOM)
    const { entries, response } = await list(`?artifactType=${SBOM_TYPE}`)
    expect(entries).toEqual([SBOM_ENTRY])
    expect(response.headers.get('oci-filters-applied')).toBe('artifactType')
    expect((await list('?artifactType=application/other')).entries).toEqual([])
    expect(registry.count({ kind: 'referrers' })).toBe(1)
    expect(registry.requests[0]?.query.size).toBe(0)
  })

  it('are none for a subject that nothing refers to or nobody knows', async () => {
    await start()
    for (const subject of [SUBJECT, `sha256:${'a'.repeat(64)}` as Digest]) {
      const { status, entries } = await list('', subject)
      expect([status, entries]).toEqual([200, []])
    }
  })

  it('are none in a repository that nobody knows', async () => {
    await start()
    const response = await mirror.fetch(`/v2/library/nothing/referrers/${SUBJECT}`)
    expect([response.status, await response.json()]).toMatchObject([200, { manifests: [] }])
  })

  it('are asked for once, and again when they expire', async () => {
    await start()
    sign(SIGNATURE)
    expect((await list()).how).toBe('fwd=miss; stored')
    sign(LATER)
    expect(await list()).toMatchObject({ how: 'hit', entries: [SIGNATURE_ENTRY] })
    await clock.advance(TTL)
    expect((await list()).entries).toEqual([SIGNATURE_ENTRY, LATER_ENTRY])
    expect(registry.count()).toBe(2)
  })

  it('are asked for once for many clients', async () => {
    await start()
    const gate = registry.gate({ kind: 'referrers', after: 0 })
    const asked = Array.from({ length: 50 }, () => list())
    await gate.reached
    gate.open()
    const outcomes = (await Promise.all(asked)).map(({ how }) => how)
    expect(outcomes).toContain('fwd=miss; collapsed')
    expect(registry.count()).toBe(1)
  })

  it('are put together from all pages', async () => {
    await start({ referrersPage: 1 })
    sign(SIGNATURE, SBOM, LATER)
    expect((await list()).entries).toEqual([SIGNATURE_ENTRY, SBOM_ENTRY, LATER_ENTRY])
    expect(registry.count({ kind: 'referrers' })).toBe(3)
  })

  it.each<[string, FaultAction]>([
    ['goes round in a circle', { headers: { link: '</x?from=1>; rel="next"' } }],
    ['is missing', { status: 404 }],
    ['is a web page', { headers: { 'content-type': 'text/html' }, body: '<html>' }],
    ['is refused', { status: 403 }],
  ])('fail as a whole when one page %s', async (_, action) => {
    await start({ referrersPage: 1 })
    sign(SIGNATURE, SBOM)
    registry.inject({ kind: 'referrers', skip: 1, action })
    expect((await list()).status).toBeGreaterThanOrEqual(502)
  })

  it('fail when the pages have no end', async () => {
    await start()
    let page = 0
    const next = () => `</x?from=${(page += 1)}>; rel="next"`
    for (let n = 0; n < 30; n += 1) {
      registry.inject({ kind: 'referrers', times: 1, action: { headers: { link: next() } } })
    }
    expect((await list()).status).toBe(502)
    expect(registry.count()).toBe(20)
  })

  describe('that are known, while upstream', () => {
    const faults: readonly [string, FaultAction | 'down', string][] = [
      ['is down', 'down', 'upstream-unavailable'],
      ['answers 500', { status: 500 }, 'upstream-unavailable'],
      ['limits our rate', { status: 429 }, 'upstream-rate-limited'],
      ['refuses us', { status: 403 }, 'upstream-denied'],
      ['sends half a list', { body: '{"manifests":[' }, 'upstream-misbehaved'],
    ]

    it.each(faults)('%s, are given as stale, also after a restart', async (_, fault, detail) => {
      await start()
      sign(SIGNATURE)
      await list()
      await mirror[Symbol.asyncDispose]()
      mirror = await openMirror()
      if (fault === 'down') await registry.stop()
      else registry.inject({ kind: 'referrers', action: fault })
      await clock.advance(TTL + MINUTE)
      const { status, how, entries, response } = await list()
      expect([status, how]).toEqual([200, `fwd=stale; detail=${detail}`])
      expect(entries).toEqual([SIGNATURE_ENTRY])
      expect(response.headers.get('warning')).toMatch(/^299 - "the referrers of docker\.io/)
      expect(response.headers.get('age')).toBe('360')
      // A client that asks again does not make us ask again at once.
      const asked = registry.count()
      expect((await list()).how).toBe(`fwd=stale; detail=${detail}`)
      expect(registry.count()).toBe(asked)
    })

    it.each(faults)(
      '%s, are a failure where there are none, never an empty list',
      async (_, fault) => {
        await start()
        if (fault === 'down') await registry.stop()
        else registry.inject({ kind: 'referrers', action: fault })
        const { status, body } = await list()
        expect(status).toBeGreaterThanOrEqual(502)
        expect(body).toMatchObject({ errors: [{ code: expect.stringMatching(/^UN/) }] })
      },
    )

    it('is slow, are given as stale after a while, and renewed behind that', async () => {
      await start()
      sign(SIGNATURE)
      await list()
      await clock.advance(TTL)
      sign(LATER)
      const gate = registry.gate({ kind: 'referrers', after: 0 })
      const asked = list()
      await gate.reached
      await clock.advance(2_000)
      expect((await asked).how).toBe('fwd=stale; detail=upstream-slow')
      gate.open()
      await expect.poll(async () => (await list()).how).toBe('hit')
      expect((await list()).entries).toEqual([SIGNATURE_ENTRY, LATER_ENTRY])
    })

    it('may be late, are given at once where the operator wants it', async () => {
      await start(WITH_API, { staleWhileRevalidate: 10 * MINUTE })
      sign(SIGNATURE)
      await list()
      await clock.advance(TTL)
      expect((await list()).how).toBe('fwd=stale; detail=revalidating')
      await expect.poll(async () => (await list()).how).toBe('hit')
    })

    it('is down for too long, are a failure', async () => {
      await start(WITH_API, { staleIfError: MINUTE })
      sign(SIGNATURE)
      await list()
      await registry.stop()
      await clock.advance(TTL + 2 * MINUTE)
      expect((await list()).status).toBe(503)
    })

    it('knows nothing of the repository any more, are none', async () => {
      await start()
      sign(SIGNATURE)
      await list()
      await clock.advance(TTL)
      registry.inject({ action: { status: 404 } })
      expect(await list()).toMatchObject({ status: 200, entries: [] })
    })

    it.each([
      [404, 'gone'],
      [403, 'denied'],
    ])('answers %i for good, are kept where the operator wants it', async (status, why) => {
      await start(WITH_API, { onGone: 'keep' })
      sign(SIGNATURE)
      await list()
      await clock.advance(365 * 24 * 60 * MINUTE)
      registry.inject({ action: { status } })
      const kept = { how: `fwd=stale; detail=upstream-${why}`, entries: [SIGNATURE_ENTRY] }
      expect(await list()).toMatchObject(kept)
      const asked = registry.count()
      expect(await list()).toMatchObject(kept)
      expect(registry.count()).toBe(asked)
      await mirror[Symbol.asyncDispose]()
      mirror = await openMirror()
      expect(await list()).toMatchObject(kept)
    })
  })

  describe('of a repository for which the API has answered, and which then has none', () => {
    it.each(['at once', 'after a restart'])('are given as stale, %s', async (when) => {
      await start()
      sign(SIGNATURE)
      await list()
      if (when === 'after a restart') {
        await mirror[Symbol.asyncDispose]()
        mirror = await openMirror()
      }
      await clock.advance(TTL)
      const lapse = registry.inject({ kind: 'referrers', action: NO_REGISTRY })
      expect(await list()).toMatchObject({
        how: 'fwd=stale; detail=upstream-misbehaved',
        entries: [SIGNATURE_ENTRY],
      })
      lapse.remove()
      sign(LATER)
      await clock.advance(6_000)
      expect((await list()).entries).toEqual([SIGNATURE_ENTRY, LATER_ENTRY])
    })

    it('are a failure for another subject, never an empty list', async () => {
      await start()
      sign(SIGNATURE)
      await list()
      registry.inject({ kind: 'referrers', action: NO_REGISTRY })
      const other = buildImage({ seed: 'other' }).manifest.digest
      expect((await list('', other)).status).toBe(502)
    })

    it('come from the fallback tag if there is one, and from the API again', async () => {
      await start()
      sign(SIGNATURE)
      await list()
      await clock.advance(TTL)
      setFallback(SIGNATURE_ENTRY, SBOM_ENTRY)
      registry.inject({ kind: 'referrers', times: 1, action: NO_REGISTRY })
      expect((await list()).entries).toEqual([SIGNATURE_ENTRY, SBOM_ENTRY])
      await clock.advance(TTL)
      expect((await list()).entries).toEqual([SIGNATURE_ENTRY])
    })
  })

  describe('of a registry without the API', () => {
    const withoutApi: readonly [string, FaultAction][] = [
      ['404 of a web server', NO_REGISTRY],
      ['404 of a registry', { status: 404 }],
      ['405', { status: 405 }],
      ['a redirect to a web page elsewhere', { redirect: 'https://web.example/', status: 303 }],
      ['a web page', { status: 200, headers: { 'content-type': 'text/html' }, body: '<html>' }],
      [
        'some other JSON',
        { status: 200, headers: { 'content-type': 'application/json' }, body: '{}' },
      ],
    ]

    it.each(withoutApi)('which says %s, come from the fallback tag', async (_, action) => {
      await start()
      setFallback(SIGNATURE_ENTRY, SBOM_ENTRY)
      registry.inject({ kind: 'referrers', action })
      expect((await list()).entries).toEqual([SIGNATURE_ENTRY, SBOM_ENTRY])
      expect((await list(`?artifactType=${SBOM_TYPE}`)).entries).toEqual([SBOM_ENTRY])
      expect(registry.count()).toBe(2)
    })

    it.each(withoutApi)('which says %s, are none without that tag', async (_, action) => {
      await start()
      registry.inject({ kind: 'referrers', action })
      expect(await list()).toMatchObject({ status: 200, entries: [] })
    })

    it('are looked for there first from then on, for a while', async () => {
      await start({})
      const other = buildImage({ seed: 'other' }).manifest.digest
      await list()
      await list('', other)
      expect(registry.count({ kind: 'referrers' })).toBe(1)
      await clock.advance(11 * MINUTE)
      await list('', other)
      expect(registry.count({ kind: 'referrers' })).toBe(2)
    })

    it('do not change what is believed of other repositories', async () => {
      await start()
      sign(SIGNATURE)
      registry.inject({ repository: 'library/other', kind: 'referrers', action: NO_REGISTRY })
      const other = await mirror.fetch(`/v2/library/other/referrers/${SUBJECT}`)
      expect(await other.json()).toMatchObject({ manifests: [] })
      expect((await list()).entries).toEqual([SIGNATURE_ENTRY])
    })

    it('are not lost to a web page that stands in front of everything for a moment', async () => {
      await start()
      sign(SIGNATURE)
      const html = { status: 200, headers: { 'content-type': 'text/html' }, body: '<html>' }
      const portal = registry.inject({ action: html })
      expect((await list()).status).toBe(502)
      portal.remove()
      expect((await list()).entries).toEqual([SIGNATURE_ENTRY])
    })

    it('are kept as any tag is, and given as stale', async () => {
      await start({})
      setFallback(SIGNATURE_ENTRY)
      await list()
      await registry.stop()
      await mirror[Symbol.asyncDispose]()
      mirror = await openMirror()
      await clock.advance(TTL + MINUTE)
      const { status, how, entries } = await list()
      expect([status, how, entries]).toEqual([
        200,
        'fwd=stale; detail=upstream-unavailable',
        [SIGNATURE_ENTRY],
      ])
    })

    it('are not frozen by a glob of immutable tags', async () => {
      await start({}, { isImmutable: () => true })
      setFallback(SIGNATURE_ENTRY)
      await list()
      setFallback(SIGNATURE_ENTRY, LATER_ENTRY)
      await clock.advance(TTL)
      expect((await list()).entries).toEqual([SIGNATURE_ENTRY, LATER_ENTRY])
    })

    it.each([
      ['down', { hangUp: 'fin' }],
      ['limiting our rate', { status: 429 }],
    ] as const)('are a failure when it is %s, never an empty list', async (_, action) => {
      await start({})
      registry.inject({ kind: 'manifest', action })
      expect((await list()).status).toBe(503)
    })

    it('are none where the tag is the image itself (GitLab)', async () => {
      await start({})
      registry.setTag('library/app', FALLBACK_TAG, SUBJECT)
      expect(await list()).toMatchObject({ status: 200, entries: [] })
    })

    it('are none where the tag is the multi-platform image itself (GitLab)', async () => {
      await start({})
      const index = buildIndex([IMAGE])
      const { digest } = index.manifest
      registry.add('library/app', index, digest.replace(':', '-'))
      expect(await list('', digest)).toMatchObject({ status: 200, entries: [] })
    })
  })

  describe('that we hold', () => {
    it('are in the list although upstream has lost them', async () => {
      await start()
      sign(SIGNATURE, SBOM)
      await mirror.fetch(`/v2/library/app/manifests/${SBOM.manifest.digest}`)
      registry.delete('library/app', SBOM.manifest.digest)
      expect((await list()).entries).toEqual([SIGNATURE_ENTRY, SBOM_ENTRY])
    })

    it('are in the list of their own repository only', async () => {
      await start()
      sign(SIGNATURE)
      registry.add('library/other', IMAGE)
      await mirror.fetch(`/v2/library/app/manifests/${SIGNATURE.manifest.digest}`)
      const response = await mirror.fetch(`/v2/library/other/referrers/${SUBJECT}`)
      expect(await response.json()).toMatchObject({ manifests: [] })
    })
  })

  it('have only descriptors that clients could ask for, with what they may say', async () => {
    await start()
    const good = { ...descriptor(SIGNATURE.manifest), artifactType: 'a/b' }
    const entries = [
      { ...good, annotations: { a: '1' }, data: 'AAAA', urls: ['https://evil.example/'] },
      { ...descriptor(SBOM.manifest), artifactType: 'x\ny', annotations: { a: 1 } },
      { ...good, digest: 'md5:abc' },
      { ...good, digest: LATER.manifest.digest, size: -1 },
      null,
    ]
    const body = JSON.stringify({ schemaVersion: 2, manifests: entries })
    registry.inject({
      kind: 'referrers',
      action: { status: 200, body, headers: { 'content-type': OCI_INDEX } },
    })
    expect((await list()).entries).toEqual([
      { ...good, annotations: { a: '1' } },
      descriptor(SBOM.manifest),
    ])
  })

  it.each([`md5:${'a'.repeat(32)}`, 'sha256:short', 'latest', `sha256:${'A'.repeat(64)}`])(
    'of %s are refused',
    async (subject) => {
      await start()
      const { status, body } = await list('', subject as Digest)
      expect([status, body]).toMatchObject([400, { errors: [{ code: 'DIGEST_INVALID' }] }])
      expect(registry.count()).toBe(0)
    },
  )

  it.each([`a/${'b'.repeat(5_000)}`, 'a%0ab', 'a%00', '%20'])(
    'of the artifact type %.10s are refused',
    async (artifactType) => {
      await start()
      const { status, body } = await list(`?artifactType=${artifactType}`)
      expect([status, body]).toMatchObject([400, { errors: [{ code: 'UNSUPPORTED' }] }])
      expect(registry.count()).toBe(0)
    },
  )
})
