import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ManualClock } from '../support/clock.ts'
import { FakeRegistry } from '../support/fake-registry.ts'
import type { FaultAction } from '../support/fault.ts'
import { buildImage } from '../support/images.ts'
import { expectIntact } from '../support/oracle.ts'
import { TestMirror } from '../support/test-mirror.ts'
import { hastyClock } from '../upstream/open-for.ts'

const REPOSITORY = 'library/app'
const TAG = `/v2/${REPOSITORY}/manifests/v1`
const COLD = `/v2/${REPOSITORY}/manifests/v2`
const TTL = 5 * 60_000
const IMAGE = buildImage({ seed: 'manifests', layers: 1 })
const NEWER = buildImage({ seed: 'manifests, newer', layers: 1 })
const OTHER = buildImage({ seed: 'manifests, other', layers: 1 })
const HTML = { 'content-type': 'text/html' }

describe('a manifest', () => {
  let registry: FakeRegistry
  let mirror: TestMirror
  let clock: ManualClock

  beforeEach(async () => {
    clock = new ManualClock()
    registry = await FakeRegistry.start({ redirect: { manifests: true } })
    registry.add(REPOSITORY, IMAGE, 'v1')
    registry.add(REPOSITORY, OTHER, 'v2')
    const timeouts = { connect: 1_000, headers: 300, body: 200 }
    const deps = { clock: { ...hastyClock, now: () => clock.now() }, timeouts }
    mirror = await TestMirror.start({ upstreams: { 'docker.io': { registry, deps } }, clock })
  })
  afterEach(async () => {
    await mirror[Symbol.asyncDispose]()
    await registry.close()
  })

  async function pull(path: string): Promise<{ status: number; digest: string | null }> {
    const response = await mirror.fetch(path)
    await response.arrayBuffer()
    return { status: response.status, digest: response.headers.get('docker-content-digest') }
  }

  const FAULTS: readonly [string, number, FaultAction][] = [
    ['other bytes', 502, { corrupt: 20 }],
    ['less than announced', 503, { length: 10_000 }],
    ['nothing after some bytes', 504, { stallAfter: 10 }],
    ['nothing at all', 504, { stall: true }],
    ['a compressed body', 502, { gzip: true }],
    ['a web page', 502, { body: '<html>log in</html>', headers: HTML }],
    ['a web page that says 404', 502, { status: 404, body: '<html>', headers: HTML }],
    ['a body without end', 502, { endless: true }],
    ['a redirect without an end', 502, { redirect: COLD }],
    ['a redirect to a file', 502, { redirect: 'file:///etc/passwd' }],
    ['a redirect to nowhere', 502, { status: 302 }],
    [
      'two lengths',
      502,
      { raw: 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n' },
    ],
    ['garbage', 502, { raw: '\u0000\u0001 garbage\r\n\r\n' }],
    ['a reset', 503, { hangUp: 'reset' }],
    ['500', 503, { status: 500 }],
    ['429', 503, { status: 429 }],
  ]

  it.each(FAULTS)(
    'that is %s is a %i where there is none, and else the last one stands in',
    async (_, status, action) => {
      await pull(TAG)
      await clock.advance(TTL)
      registry.add(REPOSITORY, NEWER, 'v1')
      registry.inject({ kind: 'manifest', action })
      expect(await pull(COLD)).toMatchObject({ status })
      expect(await pull(TAG)).toEqual({ status: 200, digest: IMAGE.manifest.digest })
      await mirror.settle()
      registry.reset()
      await clock.advance(60_000)
      await expectIntact(mirror, { retry: [COLD, TAG] })
      expect(await pull(TAG)).toMatchObject({ digest: NEWER.manifest.digest })
    },
  )

  it('comes after fifty hints as it comes without', async () => {
    const rawBefore = 'HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n'.repeat(50)
    registry.inject({ action: { rawBefore } })
    expect(await pull(TAG)).toEqual({ status: 200, digest: IMAGE.manifest.digest })
    await expectIntact(mirror, { retry: [TAG, COLD] })
  })

  it('and its digest belong together when the tag moves between two requests', async () => {
    await pull(TAG)
    await clock.advance(TTL)
    const head = registry.inject({
      kind: 'manifest',
      method: 'HEAD',
      action: { headers: { 'docker-content-digest': OTHER.manifest.digest } },
    })
    registry.add(REPOSITORY, NEWER, 'v1')
    const response = await mirror.fetch(TAG)
    const digest = response.headers.get('docker-content-digest')
    const body = Buffer.from(await response.arrayBuffer())
    const known = [OTHER, NEWER].find(({ manifest }) => manifest.digest === digest)
    expect(body).toEqual(Buffer.from(known?.manifest.bytes ?? []))
    head.remove()
    await expectIntact(mirror, { retry: [TAG] })
  })

  it('whose length HEAD and GET disagree about is what GET brings', async () => {
    registry.inject({ kind: 'manifest', method: 'HEAD', action: { length: 7 } })
    expect((await mirror.head(TAG)).status).toBe(200)
    const path = `/v2/${REPOSITORY}/manifests/${IMAGE.manifest.digest}`
    const response = await mirror.fetch(path)
    expect(response.headers.get('content-length')).toBe(String(IMAGE.manifest.size))
    expect(Buffer.from(await response.arrayBuffer())).toEqual(Buffer.from(IMAGE.manifest.bytes))
    await expectIntact(mirror, { retry: [TAG, path] })
  })
})
