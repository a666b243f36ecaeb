import { afterEach, describe, expect, it } from 'vitest'
import { digestOf } from '../../src/oci/digest.ts'
import { buildArtifact, buildReferrersIndex, descriptor } from '../support/artifacts.ts'
import type { FakeRegistry } from '../support/fake-registry.ts'
import { buildBlob, buildImage } from '../support/images.ts'
import { ghcr } from '../support/registry-quirks.ts'
import type { TestMirror } from '../support/test-mirror.ts'
import type { Quirky } from './quirky.ts'
import { startQuirky } from './quirky.ts'

describe('ghcr.io', () => {
  const image = buildImage({ seed: 'ghcr', layers: 1 })
  const blob = buildBlob('ghcr', 3_000_000)
  let registry: FakeRegistry
  let mirror: TestMirror
  let at: Quirky['at']
  /** What the storage takes for the time, in milliseconds. */
  let storageTime: number

  async function start(statusOfMissing?: 401 | 403): Promise<void> {
    storageTime = 0
    const quirks = ghcr(statusOfMissing)
    const options = { ...quirks.options, now: () => storageTime }
    ;({ registry, mirror, at } = await startQuirky({ ...quirks, options }))
    registry.add('org/app', image, 'v1')
    registry.addBlob('org/app', blob)
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

  const signatures = () =>
    registry.requests
      .filter(({ server }) => server === 'cdn')
      .map(({ query }) => query.get('X-Amz-Signature'))

  it.each([401, 403] as const)(
    'answers %i at its token server for a package that does not exist: denied, and no challenge',
    async (missing) => {
      await start(missing)
      const { status, headers, body } = await get(at('manifests/v1', 'org/missing'))
      expect(status).toBe(403)
      expect(headers.get('www-authenticate')).toBeNull()
      const { errors } = JSON.parse(body.toString()) as {
        errors: { code: string; detail: string }[]
      }
      expect(errors[0]?.code).toBe('DENIED')
      expect(errors[0]?.detail).toContain('token server')
      expect(errors[0]?.detail).not.toContain('scope=')
      // podman goes on to another place for a blob after 5xx, and after no 4xx but this mirror's 404.
      expect((await get(at(`blobs/${blob.digest}`, 'org/missing'))).status).toBe(503)
    },
  )

  it('has a package as soon as it is there, whatever was asked before', async () => {
    await start()
    expect((await get(at('manifests/v1', 'org/missing'))).status).toBe(403)
    registry.add('org/missing', image, 'v1')
    expect((await get(at('manifests/v1', 'org/missing'))).digest).toBe(image.manifest.digest)
  })

  it('has its other packages while one is missing', async () => {
    await start()
    await get(at('manifests/v1', 'org/missing'))
    expect((await get(at('manifests/v1'))).status).toBe(200)
  })

  it('has no referrers API but a page elsewhere, and so the tag is asked', async () => {
    await start()
    const signature = buildArtifact({ subject: image.manifest })
    const entries = [descriptor(signature.manifest)]
    const { digest } = image.manifest
    registry.addManifest('org/app', buildReferrersIndex(entries), digest.replace(':', '-'))
    const { status, body } = await get(at(`referrers/${digest}`))
    expect(status).toBe(200)
    expect(JSON.parse(body.toString())).toMatchObject({ manifests: entries })
    const asked = registry.requests.filter(({ status: answered }) => answered !== 401)
    expect(asked.map(({ kind, status: answered }) => [kind, answered])).toEqual([
      ['token', 200],
      ['referrers', 303],
      ['manifest', 200],
    ])
  })

  it.each(['fin', 'reset'] as const)(
    'a blob that breaks (%s) after its URL has expired goes on from a new URL',
    async (how) => {
      await start()
      const gate = Promise.withResolvers<void>()
      registry.inject({
        server: 'cdn',
        times: 1,
        action: { cut: { after: 1_500_000, how }, hold: { after: 1_000_000, until: gate.promise } },
      })
      const whole = get(at(`blobs/${blob.digest}`))
      await expect.poll(() => registry.count({ server: 'cdn' })).toBe(1)
      storageTime += 301_000
      gate.resolve()
      expect((await whole).digest).toBe(blob.digest)
      const [first, second, ...others] = signatures()
      expect(others).toEqual([])
      expect(second).not.toBe(first)
      const ranges = registry.requests.flatMap(({ headers }) => headers['range'] ?? [])
      expect(new Set(ranges).size).toBe(1)
      expect(ranges[0]).toMatch(/^bytes=\d+-2999999$/)
      // Nothing was downloaded twice, but for what a reset lost on its way.
      expect(registry.bytesSent('blob')).toBeLessThan(blob.size + 1_500_000)
    },
  )

  it('a URL that the storage refuses in the middle is not tried again', async () => {
    await start()
    registry.inject({
      server: 'cdn',
      times: 1,
      action: { cut: { after: 1_000_000, how: 'fin' } },
    })
    registry.inject({ server: 'cdn', times: 1, action: { status: 403 } })
    expect((await get(at(`blobs/${blob.digest}`))).digest).toBe(blob.digest)
    expect(new Set(signatures()).size).toBe(3)
    expect(registry.count({ server: 'registry', kind: 'blob', status: 307 })).toBe(3)
  })

  it("a URL that the storage refuses from the start is not the client's fault", async () => {
    await start()
    registry.inject({ server: 'cdn', action: { status: 403 } })
    const { status, body } = await get(at(`blobs/${blob.digest}`))
    expect(status).toBe(502)
    expect(body.toString()).not.toContain('Signature')
    expect(body.toString()).not.toContain('X-Amz')
  })
})
