import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { digestAlgorithm, digestOf } from '../../src/oci/digest.ts'
import { FakeRegistry } from '../support/fake-registry.ts'
import type { TestBlob } from '../support/images.ts'
import { buildBlob, buildImage } from '../support/images.ts'
import { TestMirror } from '../support/test-mirror.ts'
import { BLOBS, MANIFESTS, MISSING } from './documents.ts'

const NAME = 'spec/app'
const IMAGE = buildImage({ seed: 'spec' }).manifest
const BLOB = buildBlob('spec', 5_000)

/** distribution-spec (after 1.1.1), "Pull": its sentences, for a mirror that is cold and one that is offline. */
describe('distribution-spec: Pull', () => {
  let registry: FakeRegistry
  let mirror: TestMirror

  beforeEach(async () => {
    registry = await FakeRegistry.start()
    mirror = await TestMirror.start({
      upstreams: { 'registry.example': { registry, tags: { ttl: 3_600_000 } } },
    })
  })
  afterEach(async () => {
    await mirror[Symbol.asyncDispose]()
    await registry.close()
  })

  async function get(path: string, method = 'GET', headers: Readonly<Record<string, string>> = {}) {
    const response = await mirror.fetch(`/v2/${NAME}/${path}`, { method, headers })
    const body = Buffer.from(await response.arrayBuffer())
    return { status: response.status, headers: response.headers, body }
  }

  async function expectContent(path: string, { bytes, digest, mediaType }: TestBlob) {
    const found = await get(path)
    expect(found.status).toBe(200)
    expect(found.body.equals(bytes)).toBe(true)
    expect(found.headers.get('content-length')).toBe(String(bytes.length))
    expect(found.headers.get('docker-content-digest')).toBe(digest)
    expect(digestOf(found.body, digestAlgorithm(digest))).toBe(digest)
    const head = await get(path, 'HEAD')
    expect(head.status).toBe(200)
    expect(head.body).toHaveLength(0)
    expect(head.headers.get('content-length')).toBe(String(bytes.length))
    expect(head.headers.get('docker-content-digest')).toBe(digest)
    const type = path.startsWith('manifests/') ? mediaType : 'application/octet-stream'
    expect(found.headers.get('content-type')).toBe(type)
    expect(head.headers.get('content-type')).toBe(type)
  }

  async function expectMissing(path: string, code: string): Promise<void> {
    const missing = await get(path)
    expect(missing.status).toBe(404)
    expect(JSON.parse(missing.body.toString())).toMatchObject({ errors: [{ code }] })
    const head = await get(path, 'HEAD')
    expect([head.status, head.body.length]).toEqual([404, 0])
  }

  describe('Pulling manifests, and checking if content exists', () => {
    it.each(MANIFESTS)(
      '%s: GET MUST provide the expected manifest, with 200, its digest and type; HEAD MUST give digest and size',
      async (_, manifest) => {
        registry.addManifest(NAME, manifest, 'v1')
        const paths = ['manifests/v1', `manifests/${manifest.digest}`]
        for (const path of paths) await expectContent(path, manifest)
        await registry.stop()
        registry.reset()
        for (const path of paths) await expectContent(path, manifest)
        expect(registry.requests).toEqual([])
      },
    )

    it.each(MANIFESTS)('%s: HEAD is right where nothing was asked before', async (_, manifest) => {
      registry.addManifest(NAME, manifest, 'v1')
      const head = await get('manifests/v1', 'HEAD')
      expect(head.status).toBe(200)
      expect(head.headers.get('content-length')).toBe(String(manifest.size))
      expect(head.headers.get('docker-content-digest')).toBe(manifest.digest)
      expect(head.headers.get('content-type')).toBe(manifest.mediaType)
    })

    it('the registry SHOULD NOT include parameters on the Content-Type header', async () => {
      registry.addManifest(NAME, IMAGE, 'v1')
      const headers = { 'content-type': `${IMAGE.mediaType}; charset=utf-8` }
      registry.inject({ kind: 'manifest', action: { headers } })
      await expectContent('manifests/v1', IMAGE)
    })

    it.each(['missing', ...MISSING])(
      'if the manifest %s is not found, the response code MUST be 404',
      async (reference) => {
        registry.addManifest(NAME, IMAGE, 'v1')
        await expectMissing(`manifests/${reference}`, 'MANIFEST_UNKNOWN')
      },
    )
  })

  describe('Pulling blobs, and checking if content exists', () => {
    it.each(BLOBS)(
      '%s: GET MUST provide the expected blob, with 200 and its digest; HEAD MUST give digest and size',
      async (_, blob) => {
        registry.addBlob(NAME, blob)
        await expectContent(`blobs/${blob.digest}`, blob)
        await mirror.settle()
        await registry.stop()
        await expectContent(`blobs/${blob.digest}`, blob)
      },
    )

    it.each(BLOBS)('%s: HEAD is right where nothing was asked before', async (_, blob) => {
      registry.addBlob(NAME, blob)
      const head = await get(`blobs/${blob.digest}`, 'HEAD')
      expect(head.status).toBe(200)
      expect(head.headers.get('content-length')).toBe(String(blob.size))
      expect(head.headers.get('docker-content-digest')).toBe(blob.digest)
    })

    it.each(MISSING)(
      'if the blob %s is not found, the response code MUST be 404',
      async (digest) => {
        registry.addBlob(NAME, BLOB)
        await expectMissing(`blobs/${digest}`, 'BLOB_UNKNOWN')
      },
    )
  })

  describe('Range SHOULD be supported in accordance with RFC 9110', () => {
    const path = `blobs/${BLOB.digest}`
    const etag = `"${BLOB.digest}"`
    const all = BLOB.size - 1

    /** Asks a mirror that has nothing, and then one that has it and no upstream. */
    async function twice(
      headers: Readonly<Record<string, string>>,
      check: (found: Awaited<ReturnType<typeof get>>) => void,
    ): Promise<void> {
      registry.addBlob(NAME, BLOB)
      check(await get(path, 'GET', headers))
      await get(path)
      await mirror.settle()
      await registry.stop()
      check(await get(path, 'GET', headers))
    }

    it.each([
      ['bytes=0-0', 0, 0],
      ['bytes=10-19', 10, 19],
      ['bytes=0-', 0, all],
      ['bytes=4990-', 4_990, all],
      ['bytes=-10', 4_990, all],
      ['bytes=-9999', 0, all],
      ['bytes=4990-9999', 4_990, all],
      ['BYTES=1-2', 1, 2],
    ])('%s is answered with 206, that part and its place', async (range, first, last) => {
      await twice({ range }, ({ status, headers, body }) => {
        expect(status).toBe(206)
        expect(headers.get('content-range')).toBe(`bytes ${first}-${last}/${BLOB.size}`)
        expect(headers.get('content-length')).toBe(String(last - first + 1))
        expect(headers.get('docker-content-digest')).toBe(BLOB.digest)
        expect(body.equals(BLOB.bytes.subarray(first, last + 1))).toBe(true)
      })
    })

    it.each(['bytes=5000-', 'bytes=9000-9999', 'bytes=-0', 'bytes=9-1'])(
      '%s cannot be satisfied: 416 and the size',
      async (range) => {
        await twice({ range }, ({ status, headers }) => {
          expect(status).toBe(416)
          expect(headers.get('content-range')).toBe(`bytes */${BLOB.size}`)
        })
      },
    )

    it.each(['bytes=a-b', 'bytes=', 'bytes=1-2-3', 'bytes=-'])(
      '%s is invalid, and refused as a server MAY: lazy pullers take a 200 for the part',
      async (range) => {
        await twice({ range }, ({ status, headers, body }) => {
          expect([status, headers.get('content-range')]).toEqual([400, null])
          expect(JSON.parse(body.toString())).toMatchObject({ errors: [{ code: 'UNSUPPORTED' }] })
        })
      },
    )

    it.each(['bytes', 'lines=0-1', 'bytes 0-1'])(
      '%s is not in bytes, and so MUST be ignored',
      async (range) => {
        await twice({ range }, ({ status, headers, body }) => {
          expect([status, headers.get('content-range')]).toEqual([200, null])
          expect(body.equals(BLOB.bytes)).toBe(true)
        })
      },
    )

    it.each([
      [etag, 206],
      [`W/${etag}`, 200],
      ['"another"', 200],
      ['Sat, 29 Oct 1994 19:43:31 GMT', 200],
    ])('If-Range: %s is compared strongly: %i', async (ifRange, expected) => {
      await twice({ range: 'bytes=0-9', 'if-range': ifRange }, ({ status, headers, body }) => {
        expect([status, body.length]).toEqual([expected, expected === 206 ? 10 : BLOB.size])
        expect(headers.get('etag')).toBe(etag)
      })
    })

    it('is for GET alone, and is announced', async () => {
      registry.addBlob(NAME, BLOB)
      const head = await get(path, 'HEAD', { range: 'bytes=0-9' })
      expect([head.status, head.headers.get('content-length')]).toEqual([200, String(BLOB.size)])
      expect(head.headers.get('accept-ranges')).toBe('bytes')
      expect((await get(path)).headers.get('accept-ranges')).toBe('bytes')
    })
  })

  it.each(['GET', 'HEAD'])('Determining Support: %s /v2/ is 200', async (method) => {
    expect((await mirror.fetch('/v2/', { method })).status).toBe(200)
  })

  describe('Registry Proxying', () => {
    it('a registry that uses ns SHOULD return it in OCI-Namespace', async () => {
      registry.addBlob(NAME, BLOB)
      registry.addManifest(NAME, IMAGE, 'v1')
      for (const path of ['manifests/v1', `manifests/${IMAGE.digest}`, `blobs/${BLOB.digest}`]) {
        for (const method of ['GET', 'HEAD']) {
          const { headers } = await get(`${path}?ns=registry.example`, method)
          expect(headers.get('oci-namespace')).toBe('registry.example')
        }
      }
    })

    it('OCI-Subject answers a push, and so never a pull', async () => {
      for (const [, manifest] of MANIFESTS) {
        registry.addManifest(NAME, manifest)
        registry.inject({ reference: manifest.digest, action: { headers: { 'oci-subject': 'x' } } })
        const { headers } = await get(`manifests/${manifest.digest}`)
        expect(headers.get('oci-subject')).toBeNull()
      }
    })
  })
})
