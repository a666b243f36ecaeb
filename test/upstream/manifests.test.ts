import { gzipSync } from 'node:zlib'
import { afterEach, describe, expect, it } from 'vitest'
import type { Digest } from '../../src/oci/digest.ts'
import { digestOf } from '../../src/oci/digest.ts'
import { MANIFEST_ACCEPT, OCI_INDEX, OCI_MANIFEST } from '../../src/oci/media-types.ts'
import type { FakeRegistry } from '../support/fake-registry.ts'
import type { TestBlob } from '../support/images.ts'
import { buildImage } from '../support/images.ts'
import { byDigest, failureOf, repo, tag } from './open-for.ts'
import type { FakeOptions } from './opened.ts'
import { Opened } from './opened.ts'

const X = repo('library/x')
const IMAGE = buildImage({ layers: 1 })
const { signal } = new AbortController()

describe('manifests', () => {
  const opened = new Opened()
  afterEach(() => opened.close())

  async function start(options: FakeOptions = {}): Promise<FakeRegistry> {
    const registry = await opened.registry(options)
    registry.add('library/x', IMAGE, '1')
    return registry
  }

  it('accepts every type that we know, whatever is asked', async () => {
    const registry = await start()
    const upstream = opened.upstream(registry)
    await upstream.headManifest(X, tag('1'), signal)
    await upstream.getManifest(X, byDigest(IMAGE.manifest.digest), signal)
    expect(registry.requests.map(({ headers }) => headers['accept'])).toEqual([
      MANIFEST_ACCEPT,
      MANIFEST_ACCEPT,
    ])
  })

  it.each([
    ['no Content-Type', { 'content-type': undefined }],
    ['a Content-Type that tells nothing', { 'content-type': 'application/json' }],
    ['no digest', { 'docker-content-digest': undefined }],
    ['a digest that is none', { 'docker-content-digest': 'sha256:abc' }],
    ['two digests', { 'docker-content-digest': [IMAGE.manifest.digest, IMAGE.config.digest] }],
    ['a page', { 'content-type': 'text/html' }],
  ])('asks by GET when HEAD has %s', async (_, headers) => {
    const registry = await start()
    registry.inject({ method: 'HEAD', action: { headers } })
    const head = await opened.upstream(registry).headManifest(X, tag('1'), signal)
    expect(head?.descriptor).toMatchObject({
      digest: IMAGE.manifest.digest,
      mediaType: OCI_MANIFEST,
    })
    expect(Buffer.from(head?.bytes ?? [])).toEqual(Buffer.from(IMAGE.manifest.bytes))
    expect(registry.requests.map(({ method }) => method)).toEqual(['HEAD', 'GET'])
  })

  it('asks by GET when HEAD answers a digest with another one', async () => {
    const registry = await start()
    const headers = { 'docker-content-digest': IMAGE.config.digest }
    registry.inject({ method: 'HEAD', action: { headers } })
    const reference = byDigest(IMAGE.manifest.digest)
    const head = await opened.upstream(registry).headManifest(X, reference, signal)
    expect(head?.bytes).toBeDefined()
  })

  it('asks by GET where storage refuses HEAD', async () => {
    const registry = await start({ redirect: { manifests: true } })
    registry.inject({ server: 'cdn', method: 'HEAD', action: { status: 403 } })
    const upstream = opened.upstream(registry, { redirectHosts: [registry.host('cdn')] })
    expect((await upstream.headManifest(X, tag('1'), signal))?.bytes).toBeDefined()
  })

  it('believes a 404 to HEAD only from a registry, and else asks by GET', async () => {
    const registry = await start()
    const upstream = opened.upstream(registry)
    expect(await upstream.headManifest(X, tag('gone'), signal)).toBeUndefined()
    expect(registry.count()).toBe(1)
    const headers = { 'content-type': 'text/html' }
    registry.inject({ method: 'HEAD', action: { status: 404, headers } })
    expect((await upstream.headManifest(X, tag('1'), signal))?.bytes).toBeDefined()
  })

  it.each([
    ['a page', { 'content-type': 'text/html' }, '<html>not here</html>'],
    ['plain text', { 'content-type': 'text/plain' }, '404 page not found'],
    ['JSON of something else', { 'content-type': 'application/json' }, '{"message":"no route"}'],
    [
      'too much',
      { 'content-type': 'application/json' },
      `{"errors":[],"a":"${'a'.repeat(70_000)}"}`,
    ],
  ])('does not take a 404 with %s for an answer', async (_, headers, body) => {
    const registry = await start()
    registry.inject({ action: { status: 404, headers, body } })
    const asked = opened.upstream(registry).getManifest(X, tag('1'), signal)
    expect(await failureOf(asked)).toMatchObject({ kind: 'misbehaved' })
  })

  it.each([
    ['a type that the body contradicts', OCI_INDEX],
    ['a type that no header may have', 'application/vnd.x\u00e9y'],
  ])('refuses %s', async (_, contentType) => {
    const registry = await start()
    registry.inject({ action: { headers: { 'content-type': contentType } } })
    const asked = opened.upstream(registry).getManifest(X, tag('1'), signal)
    expect(await failureOf(asked)).toMatchObject({ kind: 'misbehaved' })
  })

  it('passes an artifact of a type of its own', async () => {
    const registry = await start()
    const bytes = Buffer.from('{"anything":1}')
    const mediaType = 'application/vnd.example.artifact+json'
    const manifest: TestBlob = { mediaType, digest: digestOf(bytes), size: bytes.length, bytes }
    registry.addManifest('library/x', manifest, 'artifact')
    const upstream = opened.upstream(registry)
    const descriptor = { mediaType, digest: manifest.digest, size: bytes.length }
    expect(await upstream.headManifest(X, tag('artifact'), signal)).toEqual({ descriptor })
    expect(await upstream.getManifest(X, tag('artifact'), signal)).toMatchObject({ descriptor })
  })

  it.each([
    ['by tag', tag('1')],
    ['by digest', byDigest(IMAGE.manifest.digest)],
  ])('refuses a compressed body %s', async (_, reference) => {
    const registry = await start()
    registry.inject({ action: { gzip: true } })
    const asked = opened.upstream(registry).getManifest(X, reference, signal)
    expect(await failureOf(asked)).toMatchObject({ kind: 'misbehaved' })
  })

  it('refuses a compressed artifact that nothing vouches for', async () => {
    const registry = await start({ digestHeader: false })
    const headers = { 'content-type': 'application/vnd.example', 'content-encoding': 'gzip' }
    registry.inject({ action: { headers, body: gzipSync('anything') } })
    const asked = opened.upstream(registry).getManifest(X, tag('1'), signal)
    expect(await failureOf(asked)).toMatchObject({ kind: 'misbehaved' })
  })

  it('takes a body that only claims to be compressed', async () => {
    const registry = await start()
    registry.inject({ action: { headers: { 'content-encoding': 'gzip' } } })
    const manifest = await opened.upstream(registry).getManifest(X, tag('1'), signal)
    expect(manifest?.descriptor.digest).toBe(IMAGE.manifest.digest)
  })

  it('uses the algorithm that the registry uses, so that HEAD and GET of a tag agree', async () => {
    const registry = await start()
    const digest: Digest = digestOf(IMAGE.manifest.bytes, 'sha512')
    registry.inject({ action: { headers: { 'docker-content-digest': digest } } })
    const upstream = opened.upstream(registry)
    const head = await upstream.headManifest(X, tag('1'), signal)
    const manifest = await upstream.getManifest(X, tag('1'), signal)
    expect([head?.descriptor.digest, manifest?.descriptor.digest]).toEqual([digest, digest])
  })

  it('stops reading a body that has no end', async () => {
    const registry = await start()
    registry.inject({ action: { endless: true } })
    const asked = opened.upstream(registry).getManifest(X, tag('1'), signal)
    expect(await failureOf(asked)).toMatchObject({ kind: 'misbehaved' })
    expect(registry.bytesSent('manifest')).toBeLessThan(32 * 1024 * 1024)
  })
})
