import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ManualClock } from '../support/clock.ts'
import type { FakeRegistryOptions } from '../support/fake-registry.ts'
import { FakeRegistry } from '../support/fake-registry.ts'
import type { FaultAction } from '../support/fault.ts'
import { buildImage } from '../support/images.ts'
import { rawRequest } from '../support/raw-request.ts'
import type { TestMirrorOptions } from '../support/test-mirror.ts'
import { TestMirror } from '../support/test-mirror.ts'

const IMAGE = buildImage({ layers: 1 })
const LIST = '/v2/library/app/tags/list'
const TAGS = ['1.0', '1.1', '2.0', 'Beta', 'latest']

describe('tags/list', () => {
  let registry: FakeRegistry
  let mirror: TestMirror
  let clock: ManualClock

  async function start(
    lists: FakeRegistryOptions['lists'] = {},
    options: Partial<TestMirrorOptions> = {},
  ): Promise<void> {
    registry = await FakeRegistry.start({ lists })
    for (const tag of TAGS) registry.add('library/app', IMAGE, tag)
    const upstreams = { 'docker.io': { registry, aliases: ['hub'] } }
    mirror = await TestMirror.start({ upstreams, clock, ...options })
  }

  beforeEach(() => {
    clock = new ManualClock()
  })
  afterEach(async () => {
    await mirror[Symbol.asyncDispose]()
    await registry.close()
  })

  async function list(path = LIST, headers: Record<string, string> = {}) {
    const response = await mirror.fetch(path, { headers })
    const body: unknown = await response.json()
    return { status: response.status, body, headers: response.headers }
  }

  /** Every page, by following the links as a client does; no more than twenty. */
  async function walk(path: string): Promise<readonly (readonly string[])[]> {
    const pages: (readonly string[])[] = []
    for (let next: string | undefined = path; next !== undefined && pages.length < 20;) {
      const { body, headers } = await list(next)
      pages.push((body as { tags: readonly string[] }).tags)
      next = /^<(.+)>; rel="next"$/.exec(headers.get('link') ?? '')?.[1]
    }
    return pages
  }

  it('gives the tags as upstream does, in a body of our own', async () => {
    await start()
    const { status, body, headers } = await list()
    expect(status).toBe(200)
    expect(body).toEqual({ name: 'library/app', tags: TAGS })
    expect(headers.get('content-type')).toBe('application/json')
    expect(headers.get('link')).toBeNull()
    expect(headers.get('oci-namespace')).toBe('docker.io')
    expect(headers.get('cache-status')).toBe('oci-mirror; fwd=miss; stored')
  })

  it.each([
    ['/v2/app/tags/list', 'app'],
    ['/v2/docker.io/app/tags/list', 'docker.io/app'],
    ['/v2/hub/library/app/tags/list', 'hub/library/app'],
    ['/docker.io/v2/library/app/tags/list', 'library/app'],
    ['/v2/library/app/tags/list?ns=docker.io', 'library/app'],
  ])('names the repository in %s as the client did', async (path, name) => {
    await start()
    expect((await list(path)).body).toMatchObject({ name })
  })

  describe.each([
    ['pages', {}],
    ['gives everything at once', { ignoresPages: true }],
  ])('of a registry that %s', (_, lists) => {
    it.each([1, 2, 3, 5, 6, 10_000])('can be walked in pages of %i', async (n) => {
      await start(lists)
      const pages = await walk(`${LIST}?n=${n}`)
      expect(pages.flat()).toEqual(TAGS)
      expect(pages.slice(0, -1).every((page) => page.length === n)).toBe(true)
    })

    it('can be walked although everything that was remembered is forgotten meanwhile', async () => {
      await start(lists)
      expect((await list(`${LIST}?n=2`)).body).toMatchObject({ tags: ['1.0', '1.1'] })
      await clock.advance(60_000)
      expect((await list(`${LIST}?n=2&last=1.1`)).body).toMatchObject({ tags: ['2.0', 'Beta'] })
      await clock.advance(60_000)
      const last = await list(`${LIST}?n=2&last=Beta`)
      expect(last.body).toMatchObject({ tags: ['latest'] })
      expect(last.headers.get('link')).toBeNull()
    })

    it('can be continued behind a tag without a number of entries', async () => {
      await start(lists)
      await list()
      expect((await list(`${LIST}?last=2.0`)).body).toMatchObject({ tags: ['Beta', 'latest'] })
    })

    it('goes on behind a tag that was deleted meanwhile', async () => {
      await start(lists)
      registry.deleteTag('library/app', '1.1')
      expect((await list(`${LIST}?n=2&last=1.1`)).body).toMatchObject({ tags: ['2.0', 'Beta'] })
    })

    it('is empty for n=0, without a next page', async () => {
      await start(lists)
      const { status, body, headers } = await list(`${LIST}?n=0`)
      expect([status, body]).toEqual([200, { name: 'library/app', tags: [] }])
      expect(headers.get('link')).toBeNull()
    })

    it('is empty after its end', async () => {
      await start(lists)
      expect((await list(`${LIST}?n=2&last=zzz`)).body).toMatchObject({ tags: [] })
    })
  })

  it('is cut in order where the registry has none and knows no pages (docker-registry 2.8)', async () => {
    await start({ ignoresPages: true, unsorted: true })
    registry.setTag('library/app', '0.9', IMAGE.manifest.digest)
    expect((await list()).body).toMatchObject({ tags: [...TAGS, '0.9'] })
    expect((await list(`${LIST}?last=2.0`)).body).toMatchObject({ tags: ['Beta', 'latest'] })
    await clock.advance(6_000)
    const pages = await walk(`${LIST}?n=2`)
    expect(pages).toEqual([
      ['0.9', '1.0'],
      ['1.1', '2.0'],
      ['Beta', 'latest'],
    ])
  })

  it('is not taken for everything where the registry looks at last, but not at n', async () => {
    await start({ ignoresLimit: true })
    expect((await list(`${LIST}?n=2&last=1.1`)).body).toMatchObject({ tags: ['2.0', 'Beta'] })
    expect((await list()).body).toMatchObject({ tags: TAGS })
    expect(await walk(`${LIST}?n=2`)).toEqual([['1.0', '1.1'], ['2.0', 'Beta'], ['latest']])
  })

  it('keeps an order of its own where the registry looks at last, but not at n', async () => {
    await start()
    const tags = ['B', 'c', 'D', 'e']
    registry.inject({ kind: 'tags', action: { body: JSON.stringify({ tags }) } })
    expect((await list(`${LIST}?n=2&last=a`)).body).toMatchObject({ tags: ['B', 'c'] })
  })

  it.each([
    ['/v2/library/app/tags/list?n=2', '</v2/library/app/tags/list?n=2&last=1.1>'],
    ['/v2/docker.io/app/tags/list?n=2', '</v2/docker.io/library/app/tags/list?n=2&last=1.1>'],
    [
      '/docker.io/v2/library/app/tags/list?n=2',
      '</docker.io/v2/library/app/tags/list?n=2&last=1.1>',
    ],
    [
      '/v2/library/app/tags/list?n=2&ns=docker.io',
      '</v2/library/app/tags/list?n=2&last=1.1&ns=docker.io>',
    ],
  ])('links the next page of %s to ourselves, addressed in the same way', async (path, link) => {
    await start()
    expect((await list(path)).headers.get('link')).toBe(`${link}; rel="next"`)
  })

  it('links below the base path', async () => {
    await start({}, { basePath: '/mirror' })
    const { headers } = await list(`/mirror${LIST}?n=4`)
    expect(headers.get('link')).toBe('</mirror/v2/library/app/tags/list?n=4&last=Beta>; rel="next"')
  })

  it.each([
    ['another host', '<https://evil.example/x?last=1.1&n=2>; rel="next"', '1.1'],
    ['a protocol-relative host', '<//evil.example/v2/?last=1.1>; rel=next', '1.1'],
    ['no last', '</v2/library/app/tags/list?next_page=abc>; rel="next"', '1.0'],
    ['a cursor of its own', '</x?last=eyJhIjoxfQ%3D%3D>; rel="prev next"', 'eyJhIjoxfQ%3D%3D'],
    ['an empty cursor', '</x?last=&n=2>; rel="next"', '1.0'],
    ['base64 that is not escaped', '</x?n=1&last=a+b/c==>; rel="next"', 'a%2Bb%2Fc%3D%3D'],
    ['a first page too', '</x>; rel="first", </x?last=1.1>; rel="next"', '1.1'],
  ])('takes nothing from a Link with %s but the cursor', async (_, link, last) => {
    await start()
    registry.inject({ kind: 'tags', action: { headers: { link }, body: '{"tags":["1.0"]}' } })
    expect((await list(`${LIST}?n=1`)).headers.get('link')).toBe(
      `</v2/library/app/tags/list?n=1&last=${last}>; rel="next"`,
    )
    expect(registry.count()).toBe(1)
  })

  it.each([
    ['line breaks', 'a%0d%0ab'],
    ['an escape that is none', 'a%zz'],
    ['bytes that are not UTF-8', 'a%ff'],
    ['letters that are not ASCII', '%C3%A4'],
    ['more than we keep', 'x'.repeat(2049)],
  ])('fails where the cursor has %s, because any other one would skip tags', async (_, last) => {
    await start()
    const headers = { link: `</x?last=${last}>; rel="next"` }
    registry.inject({ kind: 'tags', action: { headers } })
    const { status, body } = await list(`${LIST}?n=1`)
    expect([status, body]).toMatchObject([502, { errors: [{ code: 'UNKNOWN' }] }])
  })

  it.each(['eyJhIjoxfQ==&n=9', 'a+b/c=='])(
    'hands the cursor %s back to the registry as it was',
    async (last) => {
      await start()
      await list(`${LIST}?n=3&last=${encodeURIComponent(last)}`)
      const [request] = registry.requests
      expect([...(request?.query ?? [])]).toEqual([
        ['n', '3'],
        ['last', last],
      ])
    },
  )

  it('fails on a page that links to itself', async () => {
    await start()
    const headers = { link: '</x?n=2&last=1.1>; rel="next"' }
    registry.inject({ kind: 'tags', action: { headers } })
    expect((await list(`${LIST}?n=2&last=1.1`)).status).toBe(502)
  })

  it('asks for pages of at most a thousand', async () => {
    await start()
    await list(`${LIST}?n=999999999999`)
    expect(registry.requests[0]?.query.get('n')).toBe('1000')
  })

  it('lets only tags pass that clients could ask for', async () => {
    await start()
    const tags = ['ok', '../x', 'a b', '-x', 7, null, '<script>', 'x'.repeat(129), 'OK_1.2-3']
    registry.inject({ kind: 'tags', action: { body: JSON.stringify({ name: 'evil', tags }) } })
    expect((await list()).body).toEqual({ name: 'library/app', tags: ['ok', 'OK_1.2-3'] })
  })

  it('takes null for no tags', async () => {
    await start()
    registry.inject({ kind: 'tags', action: { body: '{"name":"library/app","tags":null}' } })
    expect((await list()).body).toEqual({ name: 'library/app', tags: [] })
  })

  it('asks once for many clients, and again after a few seconds', async () => {
    await start()
    const gate = registry.gate({ kind: 'tags', after: 0 })
    const asked = Array.from({ length: 50 }, () => list())
    await gate.reached
    gate.open()
    const outcomes = (await Promise.all(asked)).map(({ headers }) => headers.get('cache-status'))
    expect(registry.count()).toBe(1)
    expect(outcomes).toContain('oci-mirror; fwd=miss; collapsed')
    expect((await list()).headers.get('cache-status')).toBe('oci-mirror; hit')
    await clock.advance(6_000)
    registry.setTag('library/app', 'new', IMAGE.manifest.digest)
    expect((await list()).body).toMatchObject({ tags: [...TAGS, 'new'] })
    expect(registry.count()).toBe(2)
  })

  it.each<[string, FaultAction, number, string]>([
    ['is down', { hangUp: 'fin' }, 503, 'UNAVAILABLE'],
    ['answers 500', { status: 500 }, 503, 'UNAVAILABLE'],
    ['limits our rate', { status: 429 }, 503, 'UNAVAILABLE'],
    ['refuses us', { status: 403 }, 403, 'DENIED'],
    ['does not know it', { status: 404 }, 404, 'NAME_UNKNOWN'],
    ['sends a page', { body: '<html>', headers: { 'content-type': 'text/html' } }, 502, 'UNKNOWN'],
    ['sends another object', { body: '{"tags":"all"}' }, 502, 'UNKNOWN'],
    ['sends half of it', { body: '{"tags":["1.0",' }, 502, 'UNKNOWN'],
    ['cuts it', { cut: { after: 10, how: 'fin' } }, 503, 'UNAVAILABLE'],
    ['never ends', { endless: true }, 502, 'UNKNOWN'],
  ])('never gives a part of it: a registry that %s', async (_, action, status, code) => {
    await start()
    await list()
    await clock.advance(6_000)
    registry.inject({ kind: 'tags', action })
    // Retries wait for the clock of the upstream client, which is the real one.
    const answer = await list()
    expect(answer.status).toBe(status)
    expect(answer.body).toMatchObject({ errors: [{ code }] })
  })

  it('answers HEAD with the headers alone', async () => {
    await start()
    const response = await mirror.head(`${LIST}?n=2`)
    expect([response.status, await response.text()]).toEqual([200, ''])
    expect(Number(response.headers.get('content-length'))).toBeGreaterThan(10)
    expect(response.headers.get('link')).toContain('last=1.1')
  })

  it.each([
    'n=-1',
    'n=1e9',
    'n=abc',
    'n=1%002',
    'n=1.5',
    'n=%00',
    'n=',
    'n=9999999999999999',
    'last=%00',
    'last=%0d%0a',
  ])('refuses %s', async (query) => {
    await start()
    const { status, body } = await list(`${LIST}?${query}`)
    expect([status, body]).toMatchObject([400, { errors: [{ code: 'UNSUPPORTED' }] }])
    expect(registry.count()).toBe(0)
  })

  it('survives any other cursor', async () => {
    await start()
    for (const last of ['../../x', '%3Cscript%3E', '%7B%7D', 'x'.repeat(2048)]) {
      const { port } = mirror
      const response = await rawRequest({ port, target: `${LIST}?n=1&last=${last}` })
      expect(response.status).toBe(200)
    }
  })
})
