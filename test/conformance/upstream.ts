import { afterEach, describe, expect, it, vi } from 'vitest'
import type { Upstream } from '../../src/core/upstream.ts'
import type { UpstreamFailure } from '../../src/core/upstream-failure.ts'
import type { Digest } from '../../src/oci/digest.ts'
import { digestOf } from '../../src/oci/digest.ts'
import { MAX_MANIFEST_BYTES } from '../../src/oci/manifest.ts'
import { takeFirst } from '../support/blob-body.ts'
import type { FakeRegistry } from '../support/fake-registry.ts'
import { buildBlob, buildImage, buildIndex } from '../support/images.ts'
import { bodyOf, byDigest, collect, failureOf, repo, tag } from '../upstream/open-for.ts'

type RegistryOptions = NonNullable<Parameters<typeof FakeRegistry.start>[0]>

export interface UpstreamHarness {
  readonly registry: FakeRegistry
  /** Its endpoint is the registry. Backoffs are short; nothing else is. */
  readonly upstream: Upstream
  close(): Promise<void>
}

const X = repo('library/x')
const IMAGE = buildImage()
const INDEX = buildIndex([IMAGE])
const BLOB = buildBlob('conformance', 3 * 1024 * 1024)
const EMPTY = buildBlob('conformance', 0)
const ABSENT = `sha256:${'a'.repeat(64)}` as Digest

/** The contract of the Upstream port. */
export function upstreamConformance(
  name: string,
  create: (options: RegistryOptions) => Promise<UpstreamHarness>,
): void {
  describe(`${name} as an Upstream`, () => {
    const opened: UpstreamHarness[] = []
    const { signal } = new AbortController()

    async function open(options: RegistryOptions = {}): Promise<UpstreamHarness> {
      const harness = await create(options)
      opened.push(harness)
      harness.registry.add('library/x', INDEX, '1')
      for (const blob of [BLOB, EMPTY]) harness.registry.addBlob('library/x', blob)
      return harness
    }

    afterEach(async () => {
      await Promise.all(opened.splice(0).map((harness) => harness.close()))
    })

    describe('manifests', () => {
      it('gives the descriptor by HEAD, and the bytes by GET', async () => {
        const { upstream, registry } = await open()
        const { mediaType, digest, size, bytes } = INDEX.manifest
        const descriptor = { mediaType, digest, size }
        expect(await upstream.headManifest(X, tag('1'), signal)).toEqual({ descriptor })
        expect(registry.count()).toBe(1)
        for (const reference of [tag('1'), byDigest(digest)]) {
          const manifest = await upstream.getManifest(X, reference, signal)
          expect(manifest?.descriptor).toEqual(descriptor)
          expect(Buffer.from(manifest?.bytes ?? [])).toEqual(Buffer.from(bytes))
        }
      })

      it('is undefined for what the registry does not have', async () => {
        const { upstream } = await open()
        for (const reference of [tag('2'), byDigest(ABSENT)]) {
          expect(await upstream.headManifest(X, reference, signal)).toBeUndefined()
          expect(await upstream.getManifest(X, reference, signal)).toBeUndefined()
        }
      })

      it.each([401, 405])('answers a refused HEAD (%i) with the body', async (status) => {
        const { upstream } = await open({ refuseHead: { manifests: status } })
        const head = await upstream.headManifest(X, tag('1'), signal)
        expect(head?.descriptor.digest).toBe(INDEX.manifest.digest)
        expect(digestOf(head?.bytes ?? new Uint8Array())).toBe(INDEX.manifest.digest)
      })

      it('answers with the body where HEAD tells no digest', async () => {
        const { upstream } = await open({ digestHeader: false })
        const head = await upstream.headManifest(X, tag('1'), signal)
        expect(head?.descriptor.digest).toBe(INDEX.manifest.digest)
        expect(head?.bytes).toBeDefined()
      })

      it('does not give other bytes than the digest asked for', async () => {
        const { upstream, registry } = await open()
        registry.inject({ kind: 'manifest', action: { corrupt: 'last' } })
        const asked = upstream.getManifest(X, byDigest(INDEX.manifest.digest), signal)
        expect(await failureOf(asked)).toMatchObject({ kind: 'misbehaved' })
      })

      it('computes the digest of a tag, whatever the header says', async () => {
        const { upstream, registry } = await open()
        const headers = { 'docker-content-digest': ABSENT }
        registry.inject({ kind: 'manifest', action: { headers } })
        const manifest = await upstream.getManifest(X, tag('1'), signal)
        expect(manifest?.descriptor.digest).toBe(INDEX.manifest.digest)
      })

      it.each(['chunked', undefined] as const)('reads no more than 4 MiB (%s)', async (length) => {
        const { upstream, registry } = await open()
        const body = Buffer.alloc(MAX_MANIFEST_BYTES + 1, 0x20)
        const action = { body, ...(length && { length }) }
        registry.inject({ kind: 'manifest', action })
        const asked = upstream.getManifest(X, tag('1'), signal)
        expect(await failureOf(asked)).toMatchObject({ kind: 'misbehaved' })
      })
    })

    describe('blobs', () => {
      it('gives the size first, and then the bytes', async () => {
        const { upstream, registry } = await open()
        const blob = await upstream.getBlob(X, BLOB.digest, signal)
        expect(blob?.size).toBe(BLOB.size)
        expect(digestOf(await collect(bodyOf(blob)))).toBe(BLOB.digest)
        expect(registry.count()).toBe(1)
      })

      it('gives an empty blob', async () => {
        const { upstream } = await open()
        const blob = await upstream.getBlob(X, EMPTY.digest, signal)
        expect(blob?.size).toBe(0)
        expect(await collect(bodyOf(blob))).toHaveLength(0)
      })

      it('gives one range, and the size of the whole with it', async () => {
        const { upstream, registry } = await open()
        const range = { start: 1_000, end: BLOB.size - 1_000 }
        const part = await upstream.getBlobRange(X, BLOB.digest, range, signal)
        expect(part?.size).toBe(BLOB.size)
        const bytes = BLOB.bytes.subarray(range.start, range.end)
        expect(Buffer.from(await collect(bodyOf(part))).equals(bytes)).toBe(true)
        const asked = registry.requests.map(({ headers }) => headers['range'])
        expect(asked).toEqual([`bytes=1000-${BLOB.size - 1_001}`])
      })

      it('gives no other bytes than the range asked for', async () => {
        const { upstream, registry } = await open()
        const range = { start: 10, end: 20 }
        registry.inject({ kind: 'blob', times: 1, action: { ignoreRange: true } })
        const whole = upstream.getBlobRange(X, BLOB.digest, range, signal)
        expect(await failureOf(whole)).toMatchObject({ kind: 'misbehaved' })
        registry.inject({ kind: 'blob', action: { cut: { after: 5, how: 'fin' } } })
        const part = await upstream.getBlobRange(X, BLOB.digest, range, signal)
        const reading = collect(bodyOf(part))
        expect(await failureOf(reading)).toMatchObject({ kind: 'unavailable' })
        expect(registry.count()).toBe(2)
        await vi.waitFor(() => expect(registry.openSockets()).toBe(0))
      })

      it('is undefined for what the registry does not have', async () => {
        const { upstream } = await open()
        const range = { start: 0, end: 1 }
        expect(await upstream.getBlobRange(X, ABSENT, range, signal)).toBeUndefined()
        expect(await upstream.getBlob(X, ABSENT, signal)).toBeUndefined()
        expect(await upstream.probeBlob(X, ABSENT, signal)).toBeUndefined()
      })

      it('proves a blob at the cost of one byte', async () => {
        const { upstream, registry } = await open()
        expect(await upstream.probeBlob(X, BLOB.digest, signal)).toEqual({ size: BLOB.size })
        expect(await upstream.probeBlob(X, EMPTY.digest, signal)).toEqual({ size: 0 })
        const blobs = registry.requests.filter(({ reference }) => reference === BLOB.digest)
        expect(blobs.map(({ method, bytesSent }) => [method, bytesSent])).toEqual([['GET', 1]])
      })

      it('says no size that upstream did not say', async () => {
        const { upstream, registry } = await open()
        registry.inject({ kind: 'blob', action: { length: 'chunked' } })
        const blob = await upstream.getBlob(X, BLOB.digest, signal)
        expect(blob?.size).toBeUndefined()
        expect(digestOf(await collect(bodyOf(blob)))).toBe(BLOB.digest)
      })

      it.each(['fin', 'reset'] as const)('resumes after a %s in the middle', async (how) => {
        const { upstream, registry } = await open()
        const cut = { after: 1_000_000, how }
        registry.inject({ kind: 'blob', times: 1, action: { cut } })
        const blob = await upstream.getBlob(X, BLOB.digest, signal)
        expect(digestOf(await collect(bodyOf(blob)))).toBe(BLOB.digest)
        expect(registry.count({ kind: 'blob', ranged: true })).toBe(1)
      })

      it('fails when resuming does not help', async () => {
        const { upstream, registry } = await open()
        registry.inject({ kind: 'blob', action: { cut: { after: 1_000, how: 'fin' } } })
        const blob = await upstream.getBlob(X, BLOB.digest, signal)
        const reading = collect(bodyOf(blob))
        expect(await failureOf(reading)).toMatchObject({ kind: 'unavailable' })
        expect(registry.count()).toBeLessThan(10)
      })

      it('ends the connection when the reader stops', async () => {
        const { upstream, registry } = await open()
        const blob = await upstream.getBlob(X, BLOB.digest, signal)
        expect(await takeFirst(bodyOf(blob))).toBeGreaterThan(0)
        await vi.waitFor(() => expect(registry.openSockets()).toBe(0))
      })
    })

    describe('failures', () => {
      const calls = {
        headManifest: ({ upstream }: UpstreamHarness) => upstream.headManifest(X, tag('1'), signal),
        getManifest: ({ upstream }: UpstreamHarness) => upstream.getManifest(X, tag('1'), signal),
        getBlob: ({ upstream }: UpstreamHarness) => upstream.getBlob(X, BLOB.digest, signal),
        probeBlob: ({ upstream }: UpstreamHarness) => upstream.probeBlob(X, BLOB.digest, signal),
      } as const
      const html = { headers: { 'content-type': 'text/html' }, body: '<html>' }
      const faults = [
        ['403', { status: 403 }, 'denied'],
        ['429', { status: 429, headers: { 'retry-after': '7' } }, 'rate-limited'],
        ['500', { status: 500 }, 'unavailable'],
        ['503', { status: 503 }, 'unavailable'],
        ['a closed connection', { hangUp: 'fin' }, 'unavailable'],
        ['a page', { status: 200, ...html }, 'misbehaved'],
        ['a page that is not found', { status: 404, ...html }, 'misbehaved'],
        ['no HTTP', { raw: 'SSH-2.0-OpenSSH_9.2\r\n' }, 'misbehaved'],
        ['418', { status: 418 }, 'misbehaved'],
        ['a redirect to nowhere', { status: 307 }, 'misbehaved'],
      ] as const

      for (const [call, ask] of Object.entries(calls)) {
        it.each(faults)(`${call}: %s`, async (_, action, kind) => {
          const harness = await open()
          harness.registry.inject({ action })
          const failure: UpstreamFailure = await failureOf(ask(harness))
          expect(failure.kind).toBe(kind)
          expect(failure.message).toMatch(/^(GET|HEAD) http:\/\/127\.0\.0\.1:\d+\/v2\/library\/x\//)
          expect(failure.retryAfter).toBe(kind === 'rate-limited' ? 7 : undefined)
          expect(harness.registry.count()).toBeLessThan(10)
        })

        it(`${call}: a registry that is down`, async () => {
          const harness = await open()
          await harness.registry.stop()
          const failure = await failureOf(ask(harness))
          expect(failure.kind).toBe('unavailable')
          expect(failure.message).toContain('connection refused')
        })
      }
    })

    describe('abort', () => {
      it('rejects with the reason while nothing answers', async () => {
        const { upstream, registry } = await open()
        registry.inject({ action: { stall: true } })
        const client = new AbortController()
        const asked = upstream.getManifest(X, tag('1'), client.signal)
        await vi.waitFor(() => expect(registry.count()).toBe(1))
        client.abort(new Error('the client left'))
        await expect(asked).rejects.toThrow('the client left')
        await vi.waitFor(() => expect(registry.openSockets()).toBe(0))
      })

      it('ends a body in the middle, with the reason', async () => {
        const { upstream, registry } = await open()
        const gate = registry.gate({ kind: 'blob', after: 100_000 })
        const client = new AbortController()
        const blob = await upstream.getBlob(X, BLOB.digest, client.signal)
        const reading = collect(bodyOf(blob))
        await gate.reached
        client.abort(new Error('the client left'))
        await expect(reading).rejects.toThrow('the client left')
        await vi.waitFor(() => expect(registry.openSockets()).toBe(0))
        expect(registry.count()).toBe(1)
        gate.open()
      })

      it('ends a body that nobody has begun to read', async () => {
        const { upstream, registry } = await open()
        const client = new AbortController()
        await upstream.getBlob(X, BLOB.digest, client.signal)
        await upstream.getBlobRange(X, BLOB.digest, { start: 1, end: BLOB.size }, client.signal)
        client.abort()
        await vi.waitFor(() => expect(registry.openSockets()).toBe(0))
      })

      it('sends nothing when it came before', async () => {
        const { upstream, registry } = await open()
        const asked = upstream.getManifest(X, tag('1'), AbortSignal.abort(new Error('too late')))
        await expect(asked).rejects.toThrow('too late')
        expect(registry.count()).toBe(0)
      })
    })

    it('tells how it is doing without asking anybody', async () => {
      const { upstream, registry } = await open()
      const idle = { isSaving: false, underWay: 0, queued: 0 }
      const circuit = { name: 'closed', until: undefined, reason: undefined }
      const endpoint = { host: registry.host(), circuit, rateLimit: undefined }
      expect(upstream.state()).toMatchObject({ ...idle, endpoints: [endpoint] })
      expect(registry.count()).toBe(0)
      const body = bodyOf(await upstream.getBlob(X, BLOB.digest, signal))
      expect(upstream.state()).toMatchObject({ underWay: 1, queued: 0 })
      await collect(body)
      expect(upstream.state()).toMatchObject(idle)
    })

    it('cuts what is under way when it is closed', async () => {
      const { upstream, registry } = await open()
      const gate = registry.gate({ kind: 'blob', after: 1_000 })
      const blob = await upstream.getBlob(X, BLOB.digest, signal)
      const reading = failureOf(collect(bodyOf(blob)))
      await gate.reached
      await upstream.close()
      expect(await reading).toMatchObject({ kind: 'unavailable' })
      await vi.waitFor(() => expect(registry.openSockets()).toBe(0))
      gate.open()
    })
  })
}
