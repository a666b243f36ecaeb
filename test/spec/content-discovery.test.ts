import { afterEach, describe, expect, it } from 'vitest'
import { OCI_INDEX } from '../../src/oci/media-types.ts'
import { buildReferrersIndex, descriptor } from '../support/artifacts.ts'
import type { FakeRegistryOptions } from '../support/fake-registry.ts'
import { FakeRegistry } from '../support/fake-registry.ts'
import type { TestBlob } from '../support/images.ts'
import { buildImage } from '../support/images.ts'
import { TestMirror } from '../support/test-mirror.ts'
import { MISSING, referrersOf, SUBJECTS } from './documents.ts'

const NAME = 'spec/app'
const IMAGE = buildImage({ seed: 'discovery', layers: 1 })
/** In the order of ASCII, which is none of numbers, of versions or of dictionaries. */
const TAGS = ['0', '1', '10', '1_', '2', 'A', 'Z', '_', '__', 'a', 'a-', 'a.b', 'b']

let registry: FakeRegistry
let mirror: TestMirror

async function start(lists: NonNullable<FakeRegistryOptions['lists']>): Promise<void> {
  registry = await FakeRegistry.start({ lists })
  mirror = await TestMirror.start({ upstreams: { 'registry.example': { registry } } })
}
afterEach(async () => {
  await mirror[Symbol.asyncDispose]()
  await registry.close()
})

/** The next page's URL is resolved as RFC 8288 says, against this one's. */
async function get(path: string) {
  const url = new URL(path, `${mirror.url}/v2/${NAME}/`)
  const { status, headers, ...response } = await read(await fetch(url))
  const link = headers.get('link')
  const target = /^<([^>]+)>; rel="next"$/.exec(link ?? '')?.[1]
  return { status, headers, link, next: target && new URL(target, url).href, ...response }
}

async function read(response: Response) {
  return { status: response.status, headers: response.headers, body: await response.json() }
}

describe.each([
  ['pages', {}],
  ['gives everything at once', { ignoresPages: true }],
])('distribution-spec: Listing Tags, in front of a registry that %s', (_, lists) => {
  async function startWithTags(tags: readonly string[] = TAGS): Promise<void> {
    await start(lists)
    registry.add(NAME, IMAGE)
    for (const tag of tags.toReversed()) registry.add(NAME, IMAGE, tag)
  }

  async function tagsAt(path: string): Promise<readonly string[]> {
    const { status, body } = await get(path)
    expect([path, status]).toEqual([path, 200])
    return (body as { tags: readonly string[] }).tags
  }

  it('if the repository is found, the response MUST be 200 and of the form that is given', async () => {
    await startWithTags()
    const { status, headers, body } = await get('tags/list')
    expect(status).toBe(200)
    expect(headers.get('content-type')).toBe('application/json')
    expect(body).toEqual({ name: NAME, tags: TAGS })
  })

  it('if it is not found, the response is 404', async () => {
    await startWithTags()
    const { status, body } = await get('/v2/spec/missing/tags/list')
    expect([status, body]).toMatchObject([404, { errors: [{ code: 'NAME_UNKNOWN' }] }])
  })

  it('the list MAY be empty', async () => {
    await startWithTags([])
    for (const path of ['tags/list', 'tags/list?n=3', 'tags/list?n=3&last=a']) {
      expect((await get(path)).body).toEqual({ name: NAME, tags: [] })
    }
  })

  it('the tags MUST be in lexical or ASCIIbetical order, in every part of the list', async () => {
    await startWithTags()
    for (let n = 1; n <= TAGS.length + 1; n += 1) {
      for (const last of ['', ...TAGS]) {
        const from = last === '' ? 0 : TAGS.indexOf(last) + 1
        const part = await tagsAt(`tags/list?n=${n}&last=${last}`)
        expect([n, last, part]).toEqual([n, last, TAGS.slice(from, from + n)])
      }
    }
  })

  it('lexical order, where the registry has it, is kept as it is', async () => {
    await startWithTags()
    const tags = ['a', 'B', 'b', 'C', 'd']
    registry.inject({ kind: 'tags', action: { body: JSON.stringify({ name: NAME, tags }) } })
    expect(await tagsAt('tags/list')).toEqual(tags)
  })

  it.each([1, 2, 5, TAGS.length - 1, TAGS.length, TAGS.length + 1, 10_000])(
    'with n=%i there MUST be so many results, or fewer only at the end or with a Link',
    async (n) => {
      await startWithTags()
      const found: string[] = []
      for (let path: string | undefined = `tags/list?n=${n}`; path !== undefined;) {
        const { body, link, next } = await get(path)
        const { tags } = body as { tags: readonly string[] }
        expect(tags.length).toBe(Math.min(n, TAGS.length - found.length))
        found.push(...tags)
        expect(link === null).toBe(found.length === TAGS.length)
        path = next
      }
      expect(found).toEqual(TAGS)
    },
  )

  it.each(['n=0', 'n=0&last=a', 'last=a&n=0'])(
    'with %s the list MUST be empty, and there MUST NOT be a Link',
    async (query) => {
      await startWithTags()
      const { status, body, link } = await get(`tags/list?${query}`)
      expect([status, body, link]).toEqual([200, { name: NAME, tags: [] }, null])
    },
  )

  it('with last, the list begins behind that tag, without it', async () => {
    await startWithTags()
    expect(await tagsAt('tags/list?n=2&last=1_')).toEqual(['2', 'A'])
    expect(await tagsAt(`tags/list?n=2&last=${TAGS.at(-1)}`)).toEqual([])
  })

  it('last MUST NOT be a numerical index but a tag', async () => {
    await startWithTags()
    expect(await tagsAt('tags/list?n=3&last=1')).toEqual(['10', '1_', '2'])
    expect(await tagsAt('tags/list?n=3&last=2')).toEqual(['A', 'Z', '_'])
  })

  it('with last, n is OPTIONAL', async () => {
    await startWithTags()
    expect(await tagsAt('tags/list?last=_')).toEqual(['__', 'a', 'a-', 'a.b', 'b'])
  })

  it('clients that know no Link get everything by last, if they go on to the empty page', async () => {
    await startWithTags()
    const found: string[] = []
    for (let part = await tagsAt('tags/list?n=4'); part.length > 0;) {
      found.push(...part)
      part = await tagsAt(`tags/list?n=4&last=${part.at(-1)}`)
    }
    expect(found).toEqual(TAGS)
  })
})

/** Where the mirror knows referrers from, and how they get there. */
const SOURCES: readonly (readonly [
  name: string,
  lists: NonNullable<FakeRegistryOptions['lists']>,
  publish: (subject: TestBlob) => Promise<void>,
])[] = [
  ['of a registry with the API', { referrersPage: 100 }, async (subject) => addAll(subject)],
  [
    'of a registry with the API, in pages',
    { referrersPage: 1 },
    async (subject) => addAll(subject),
  ],
  [
    'under the referrers tag of a registry without the API',
    {},
    async (subject) => {
      registry.addManifest(NAME, buildReferrersIndex(entriesOf(subject)), tagOf(subject))
    },
  ],
  [
    'that were pulled through the mirror, of a registry without the API',
    {},
    async (subject) => {
      addAll(subject)
      for (const [{ digest }] of referrersOf(subject)) await fetchManifest(digest)
    },
  ],
]

function addAll(subject: TestBlob): void {
  for (const [manifest] of referrersOf(subject)) registry.addManifest(NAME, manifest)
}

async function fetchManifest(digest: string): Promise<void> {
  const response = await mirror.fetch(`/v2/${NAME}/manifests/${digest}`)
  expect([digest, response.status]).toEqual([digest, 200])
  await response.arrayBuffer()
}

/** distribution-spec "Referrers Tag Schema": no more than 64 characters of the hash. */
function tagOf({ digest }: TestBlob): string {
  const [algorithm = '', encoded = ''] = digest.split(':')
  return `${algorithm}-${encoded.slice(0, 64)}`
}

function entriesOf(subject: TestBlob): readonly object[] {
  return referrersOf(subject).map(([manifest, said]) => ({ ...descriptor(manifest), ...said }))
}

/** Lists have no order of their own. */
function inOrder(body: unknown): readonly object[] {
  const { manifests } = body as { manifests: readonly { digest: string }[] }
  return manifests.toSorted((one, other) => one.digest.localeCompare(other.digest))
}

const CASES = SOURCES.flatMap(([source, lists, publish]) =>
  SUBJECTS.map(([algorithm, subject]) => ({ source, algorithm, lists, publish, subject })),
)

describe.each(CASES)(
  'distribution-spec: Listing Referrers $source, for a subject by $algorithm',
  ({ lists, publish, subject }) => {
    const path = `referrers/${subject.digest}`

    async function startWithReferrers(): Promise<void> {
      await start(lists)
      registry.addManifest(NAME, subject)
      await publish(subject)
    }

    it('the response MUST be 200, an index by its Content-Type and its body', async () => {
      await startWithReferrers()
      const { status, headers, body, link } = await get(path)
      expect(status).toBe(200)
      expect(headers.get('content-type')).toBe(OCI_INDEX)
      expect(body).toMatchObject({ schemaVersion: 2, mediaType: OCI_INDEX })
      expect(Object.keys(body as object)).toEqual(['schemaVersion', 'mediaType', 'manifests'])
      // All of it is one answer, so that there is no part that a client could miss.
      expect(link).toBeNull()
    })

    it("each descriptor MUST have its artifactType, or its configuration's, and annotations", async () => {
      await startWithReferrers()
      const { body } = await get(path)
      expect(inOrder(body)).toEqual(inOrder({ manifests: entriesOf(subject) }))
    })

    it.each([
      ['application/vnd.example.sbom.v1+json', 3],
      ['application%2Fvnd.example.sbom.v1%2Bjson', 3],
      ['application/vnd.example.signature.v1', 2],
      ['application/vnd.example.none', 0],
      ['application/vnd.example', 0],
    ])('if filtering by %s is applied, OCI-Filters-Applied MUST say so', async (type, count) => {
      await startWithReferrers()
      const { status, headers, body } = await get(`${path}?artifactType=${type}`)
      expect(status).toBe(200)
      expect(headers.get('oci-filters-applied')).toBe('artifactType')
      expect(headers.get('content-type')).toBe(OCI_INDEX)
      const wanted = decodeURIComponent(type)
      const entries = entriesOf(subject).filter(
        (entry) => 'artifactType' in entry && entry.artifactType === wanted,
      )
      expect(entries).toHaveLength(count)
      expect(inOrder(body)).toEqual(inOrder({ manifests: entries }))
      expect((await get(path)).headers.get('oci-filters-applied')).toBeNull()
    })

    it('every referrer MUST be in the same repository', async () => {
      await startWithReferrers()
      registry.addManifest('spec/other', subject)
      const { status, body } = await get(`/v2/spec/other/${path}`)
      expect([status, inOrder(body)]).toEqual([200, []])
    })
  },
)

describe.each([
  ['with the API', { referrersPage: 100 }],
  ['without the API', {}],
])('distribution-spec: Listing Referrers of a registry %s', (_, lists) => {
  it.each(MISSING)(
    'if nothing matches %s, an empty list MUST be returned, never 404',
    async (subject) => {
      await start(lists)
      registry.add(NAME, IMAGE)
      for (const path of [`referrers/${subject}`, `/v2/spec/missing/referrers/${subject}`]) {
        const { status, headers, body } = await get(path)
        expect([status, headers.get('content-type')]).toEqual([200, OCI_INDEX])
        expect(body).toEqual({ schemaVersion: 2, mediaType: OCI_INDEX, manifests: [] })
      }
    },
  )

  it.each(['latest', 'sha256:', 'sha256:abc', `SHA256:${'a'.repeat(64)}`, `a:${'a'.repeat(64)}:b`])(
    'if the digest is %s, a 400 MUST be returned',
    async (digest) => {
      await start(lists)
      const { status, body } = await get(`referrers/${digest}`)
      expect([status, body]).toMatchObject([400, { errors: [{ code: 'DIGEST_INVALID' }] }])
      expect(registry.requests).toEqual([])
    },
  )

  it('if the tag is no valid index, there are no referrers', async () => {
    await start(lists)
    registry.add(NAME, IMAGE, tagOf(IMAGE.manifest))
    const { status, body } = await get(`referrers/${IMAGE.manifest.digest}`)
    expect([status, inOrder(body)]).toEqual([200, []])
  })
})
