import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ManualClock } from '../support/clock.ts'
import { FakeRegistry } from '../support/fake-registry.ts'
import type { FaultAction } from '../support/fault.ts'
import { buildImage } from '../support/images.ts'
import { rawRequest } from '../support/raw-request.ts'
import { TestMirror } from '../support/test-mirror.ts'

/** distribution-spec "Error Codes". */
const CODES = new Set(
  [
    'BLOB_UNKNOWN BLOB_UPLOAD_INVALID BLOB_UPLOAD_UNKNOWN DIGEST_INVALID MANIFEST_BLOB_UNKNOWN',
    'MANIFEST_INVALID MANIFEST_UNKNOWN NAME_INVALID NAME_UNKNOWN SIZE_INVALID UNAUTHORIZED DENIED',
    'UNSUPPORTED TOOMANYREQUESTS',
  ].flatMap((line) => line.split(' ')),
)

const HEX = 'ab'.repeat(32)
const DIGEST = `sha256:${HEX}`
const image = buildImage({ seed: 'errors' })

describe('distribution-spec: names, and what is said when something is wrong', () => {
  let registry: FakeRegistry
  let mirror: TestMirror
  let clock: ManualClock

  beforeEach(async () => {
    clock = new ManualClock()
    registry = await FakeRegistry.start()
    mirror = await TestMirror.start({ upstreams: { 'registry.example': { registry } }, clock })
  })
  afterEach(async () => {
    await mirror[Symbol.asyncDispose]()
    await registry.close()
  })

  const raw = (target: string, method = 'GET') => rawRequest({ port: mirror.port, target, method })

  async function expectError(target: string, status: number, method?: string): Promise<string> {
    const { status: found, headers, body } = await raw(target, method)
    expect([target, found]).toEqual([target, status])
    expect(headers['content-type']).toBe('application/json')
    const parsed = JSON.parse(body.toString()) as { errors: Record<string, unknown>[] }
    expect(Object.keys(parsed)).toEqual(['errors'])
    expect(parsed.errors).toHaveLength(1)
    const [{ code, message, detail } = {}] = parsed.errors
    expect(code).toMatch(/^[A-Z_]+$/)
    expect(message).toEqual(expect.any(String))
    expect(detail).toEqual(expect.any(String))
    return String(code)
  }

  it.each([
    'a',
    '0',
    'a/b/c/d/e/f/g',
    'a.b',
    'a_b',
    'a__b',
    'a-b',
    'a-----b',
    'a.b/c__d/e---f',
    'spec/manifests',
    'spec/blobs/x',
    'v2/tags/list',
    'a'.repeat(255),
    `${'a/'.repeat(127)}a`,
  ])('<name> %s MUST match the expression, and does', async (name) => {
    registry.add(name, image, 'v1')
    // A first part with a dot reads as a host, unless the registry is named.
    const target = `/v2/${name}/manifests/v1?ns=registry.example`
    expect((await raw(target)).status).toBe(200)
    expect(registry.requests.map(({ path }) => path)).toEqual([`/v2/${name}/manifests/v1`])
  })

  it.each([
    'A',
    'a/B',
    '-a',
    'a-',
    '_a',
    'a_',
    'a___b',
    'a..b',
    'a._b',
    'a.-b',
    '.a',
    'a.',
    'a/-b',
    'a~b',
    'a+b',
    'ä',
    'a b',
    'a@b',
    'a:b',
    'a'.repeat(256),
  ])('<name> %s MUST match the expression, and does not', async (name) => {
    const target = `/v2/${encodeURI(name)}/manifests/v1?ns=registry.example`
    expect(await expectError(target, 400)).toBe('NAME_INVALID')
    expect(registry.socketsOpened()).toBe(0)
  })

  it.each(['v', '_', '0', 'V1.2-rc_3', '__', 'a..b', `sha256-${HEX}`, 't'.repeat(128)])(
    '<tag> %s MUST match the expression, and does',
    async (tag) => {
      registry.add('spec/app', image, tag)
      expect((await raw(`/v2/spec/app/manifests/${tag}`)).status).toBe(200)
    },
  )

  it('a tag is another one in other letters', async () => {
    registry.add('spec/app', image, 'V1')
    expect((await raw('/v2/spec/app/manifests/V1')).status).toBe(200)
    expect((await raw('/v2/spec/app/manifests/v1')).status).toBe(404)
  })

  it.each(['.a', '-a', 'a+b', 'a~b', 't'.repeat(129), '%20', 'a%2Fb'])(
    '<tag> %s MUST match the expression, and does not',
    async (tag) => {
      await expectError(`/v2/spec/app/manifests/${tag}`, 400)
      expect(registry.socketsOpened()).toBe(0)
    },
  )

  it.each([
    `sha256:${HEX.slice(1)}`,
    `sha256:${HEX}0`,
    `sha256:${HEX.toUpperCase()}`,
    `SHA256:${HEX}`,
    `sha256:${'g'.repeat(64)}`,
    'sha256:',
    `:${HEX}`,
    `sha512:${HEX}`,
    `md5:${'ab'.repeat(16)}`,
    `blake3:${HEX}`,
    `sha256+b64u:${HEX}`,
    `sha256:${HEX}:${HEX}`,
  ])('<digest> %s is none that can be verified, and so a 400', async (digest) => {
    for (const kind of ['manifests', 'blobs', 'referrers']) {
      expect(await expectError(`/v2/spec/app/${kind}/${digest}`, 400)).toBe('DIGEST_INVALID')
    }
    expect(registry.socketsOpened()).toBe(0)
  })

  it('a digest in a path may have its colon escaped', async () => {
    registry.add('spec/app', image)
    const { digest } = image.manifest
    const escaped = `/v2/spec/app/manifests/${digest.replace(':', '%3A')}`
    expect((await raw(escaped)).headers['docker-content-digest']).toBe(digest)
  })

  it.each([
    ['POST', '/v2/spec/app/blobs/uploads/'],
    ['POST', `/v2/spec/app/blobs/uploads/?digest=${DIGEST}`],
    ['POST', `/v2/spec/app/blobs/uploads/?mount=${DIGEST}&from=spec/other`],
    ['PATCH', '/v2/spec/app/blobs/uploads/1'],
    ['PUT', `/v2/spec/app/blobs/uploads/1?digest=${DIGEST}`],
    ['PUT', '/v2/spec/app/manifests/v1'],
    ['DELETE', '/v2/spec/app/manifests/v1'],
    ['DELETE', `/v2/spec/app/manifests/${DIGEST}`],
    ['DELETE', `/v2/spec/app/blobs/${DIGEST}`],
    ['DELETE', '/v2/spec/app/blobs/uploads/1'],
  ])(
    '%s %s: if it is disabled, the registry MUST respond with 400 or 405',
    async (method, target) => {
      expect(await expectError(target, 405, method)).toBe('UNSUPPORTED')
      expect(registry.socketsOpened()).toBe(0)
    },
  )

  it.each<readonly [string, number, FaultAction]>([
    ['nothing', 404, {}],
    ['that we may not', 403, { status: 403 }],
    ['that it is no such method', 502, { status: 405 }],
    ['that it is too long', 502, { status: 414 }],
    ['that we ask too often', 503, { status: 429 }],
    ['that it is broken', 503, { status: 500 }],
    ['that it is not implemented', 503, { status: 501 }],
    ['a page', 502, { status: 200, headers: { 'content-type': 'text/html' }, body: '<p>' }],
    ['that it is gone, on a page', 502, { status: 404, body: '<html>Gone</html>' }],
    ['half an answer', 503, { cut: { after: 5, how: 'fin' } }],
  ])('of a registry that says %s, %i is told in the form of the specification', async (...row) => {
    const [words, status, action] = row
    if (words === 'half an answer') registry.add('spec/app', image, 'v1')
    registry.inject({ kind: 'manifest', action })
    const code = await expectError('/v2/spec/app/manifests/v1', status)
    // "The code field MUST be one of the following" is about 4XX; for 5XX there is none.
    expect(status < 500 ? CODES : new Set(['UNAVAILABLE', 'UNKNOWN'])).toContain(code)
  })

  it('Warning headers MUST have the code 299, the agent - and no date, and at most 4096 bytes', async () => {
    const [name, tag] = [`${'a'.repeat(120)}/${'b'.repeat(120)}`, 't'.repeat(128)]
    registry.add(name, image, tag)
    const target = `/v2/${name}/manifests/${tag}`
    expect((await raw(target)).headers['warning']).toBeUndefined()
    await clock.advance(300_000)
    registry.inject({ action: { status: 503, headers: { warning: '199 evil "x"' } } })
    const { status, headers } = await raw(target)
    expect(status).toBe(200)
    expect(headers['warning']).toMatch(/^299 - "[^"\\]{10,}"$/)
    expect(headers['warning']?.length).toBeLessThanOrEqual(4096)
  })
})
