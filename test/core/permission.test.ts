import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { digestOf } from '../../src/oci/digest.ts'
import { OCI_INDEX, OCI_MANIFEST } from '../../src/oci/media-types.ts'
import type { Repository } from '../../src/oci/reference.ts'
import type { AccessPolicy } from '../../src/core/access-policy.ts'
import { FakeRegistry } from '../support/fake-registry.ts'
import { buildImage } from '../support/images.ts'
import { TestMirror } from '../support/test-mirror.ts'

const CREDENTIALS = { username: 'mirror', password: 'secret' }

/** Bytes are shared, permission is not. */
describe('permission to read', () => {
  const image = buildImage({ layers: 1, layerBytes: 2_000_000 })
  const [layer = image.config] = image.layers
  let hub: FakeRegistry
  let corp: FakeRegistry
  let mirror: TestMirror

  async function start(
    options: { access?: AccessPolicy; hubCredentials?: boolean } = {},
  ): Promise<void> {
    const { access, hubCredentials = false } = options
    const credentials = async () => CREDENTIALS
    mirror = await TestMirror.start({
      upstreams: {
        'docker.io': { registry: hub, ...(hubCredentials && { credentials }) },
        'corp.example': { registry: corp },
      },
      ...(access && { access }),
    })
  }

  beforeEach(async () => {
    hub = await FakeRegistry.start()
    corp = await FakeRegistry.start()
  })
  afterEach(async () => {
    await mirror[Symbol.asyncDispose]()
    await Promise.all([hub.close(), corp.close()])
  })

  const at = (repository: string, rest: string, upstream = 'docker.io') =>
    `/v2/${repository}/${rest}?ns=${upstream}`
  const blobIn = (repository: string, upstream?: string) =>
    at(repository, `blobs/${layer.digest}`, upstream)

  async function pull(path: string): Promise<number> {
    const response = await mirror.fetch(path)
    const bytes = new Uint8Array(await response.arrayBuffer())
    const isWrong =
      response.status === 200 && path.includes('/blobs/') && digestOf(bytes) !== layer.digest
    return isWrong ? -1 : response.status
  }

  it('two upstreams with one name never mix', async () => {
    const other = buildImage({ seed: 'other' })
    hub.add('acme/app', image, 'v1')
    corp.add('acme/app', other, 'v1')
    await start()
    for (const _ of [1, 2]) {
      const fromHub = await mirror.fetch(at('acme/app', 'manifests/v1'))
      const fromCorp = await mirror.fetch(at('acme/app', 'manifests/v1', 'corp.example'))
      expect(digestOf(new Uint8Array(await fromHub.arrayBuffer()))).toBe(image.manifest.digest)
      expect(digestOf(new Uint8Array(await fromCorp.arrayBuffer()))).toBe(other.manifest.digest)
    }
  })

  it('a digest of one upstream is not readable through another', async () => {
    hub.add('acme/app', image, 'v1')
    await start()
    expect(await pull(blobIn('acme/app'))).toBe(200)
    expect(await pull(at('acme/app', `manifests/${image.manifest.digest}`))).toBe(200)
    await mirror.settle()
    expect(await pull(blobIn('acme/app', 'corp.example'))).toBe(404)
    expect((await mirror.head(blobIn('acme/app', 'corp.example'))).status).toBe(404)
    expect(await pull(at('acme/app', `manifests/${image.manifest.digest}`, 'corp.example'))).toBe(
      404,
    )
    expect(corp.count({ kind: 'blob' })).toBe(1)
  })

  it('a repository gets bytes that are here once its registry has proved that it has them', async () => {
    hub.addBlob('acme/app', layer)
    hub.addBlob('acme/fork', layer)
    await start()
    await pull(blobIn('acme/app'))
    await mirror.settle()
    hub.reset()
    expect(await pull(blobIn('acme/fork'))).toBe(200)
    expect(hub.requests.map(({ headers }) => headers['range'])).toEqual(['bytes=0-0'])
    await hub.stop()
    expect(await pull(blobIn('acme/fork'))).toBe(200)
    expect(await pull(blobIn('acme/stranger'))).toBe(503)
    await hub.restart()
    expect(await pull(blobIn('acme/stranger'))).toBe(404)
  })

  it('a repository joins a running download only once it has proved the digest', async () => {
    hub.addBlob('acme/app', layer)
    hub.addBlob('acme/fork', layer)
    await start()
    const gate = hub.gate({ kind: 'blob', repository: 'acme/app', after: 500_000 })
    const first = pull(blobIn('acme/app'))
    await gate.reached
    expect(await pull(blobIn('acme/stranger'))).toBe(404)
    const second = pull(blobIn('acme/fork'))
    await expect.poll(() => hub.count({ repository: 'acme/fork' })).toBe(1)
    gate.open()
    expect(await Promise.all([first, second])).toEqual([200, 200])
    const whole = hub.requests.filter(({ headers }) => headers['range'] === undefined)
    expect(whole.map(({ repository }) => repository)).toEqual(['acme/app'])
  })

  it('a repair joins a download only for a repository that has proved the digest', async () => {
    hub.addBlob('acme/app', layer)
    hub.addManifest('acme/fork', image.manifest, 'v1')
    await start({ hubCredentials: true })
    await pull(at('acme/fork', 'manifests/v1'))
    const gate = hub.gate({ kind: 'blob', repository: 'acme/app', after: 500_000 })
    const first = pull(blobIn('acme/app'))
    await gate.reached
    const fork = { upstream: 'docker.io', name: 'acme/fork' } as Repository
    await expect
      .soft(mirror.mirror.control.refetch('blob', fork, layer.digest))
      .resolves.toBe(false)
    expect(await pull(blobIn('acme/fork'))).toBe(404)
    gate.open()
    expect(await first).toBe(200)
  })

  it('a manifest that names a digest is enough for an upstream that everyone may read', async () => {
    hub.addBlob('acme/app', layer)
    hub.addManifest('acme/fork', image.manifest, 'v1')
    await start()
    await pull(blobIn('acme/app'))
    await pull(at('acme/fork', 'manifests/v1'))
    await mirror.settle()
    await hub.stop()
    expect(await pull(blobIn('acme/fork'))).toBe(200)
  })

  it('a manifest that names a digest is not enough where credentials are needed', async () => {
    hub.addBlob('acme/app', layer)
    hub.addManifest('acme/fork', image.manifest, 'v1')
    await start({ hubCredentials: true })
    await pull(blobIn('acme/app'))
    await pull(at('acme/fork', 'manifests/v1'))
    expect(await pull(blobIn('acme/fork'))).toBe(404)
  })

  it('a manifest that names a digest is not enough for bytes of another upstream', async () => {
    hub.addBlob('acme/app', layer)
    corp.addManifest('acme/app', image.manifest, 'v1')
    await start()
    await pull(blobIn('acme/app'))
    await pull(at('acme/app', 'manifests/v1', 'corp.example'))
    expect(await pull(blobIn('acme/app', 'corp.example'))).toBe(404)
  })

  it('each repository keeps its own media type of the same bytes', async () => {
    const bytes = new TextEncoder().encode('{"schemaVersion":2}')
    const digest = digestOf(bytes)
    hub.addManifest(
      'acme/app',
      { bytes, digest, size: bytes.length, mediaType: OCI_MANIFEST },
      'v1',
    )
    corp.addManifest('acme/app', { bytes, digest, size: bytes.length, mediaType: OCI_INDEX }, 'v1')
    await start()
    const types = async () => {
      const responses = [
        await mirror.fetch(at('acme/app', `manifests/${digest}`)),
        await mirror.fetch(at('acme/app', `manifests/${digest}`, 'corp.example')),
      ]
      return Promise.all(
        responses.map(async (r) => (await r.arrayBuffer(), r.headers.get('content-type'))),
      )
    }
    expect(await types()).toEqual([OCI_MANIFEST, OCI_INDEX])
    expect(await types()).toEqual([OCI_MANIFEST, OCI_INDEX])
  })

  it('is asked of the policy before the cache or upstream is', async () => {
    hub.add('acme/app', image, 'v1')
    await start({
      access: {
        decide: (_, { name }) =>
          name === 'acme/app'
            ? { allowed: false, code: 'DENIED', rule: 'no acme' }
            : { allowed: true },
      },
    })
    const response = await mirror.fetch(at('acme/app', 'manifests/v1'))
    expect(response.status).toBe(403)
    expect(await response.json()).toMatchObject({
      errors: [{ code: 'DENIED', detail: 'refused by the rule "no acme"' }],
    })
    expect(await pull(blobIn('acme/app'))).toBe(403)
    expect(hub.requests).toEqual([])
  })

  it('is never widened by trying a second upstream', async () => {
    corp.add('acme/app', image, 'v1')
    await start()
    expect(await pull(at('acme/app', 'manifests/v1'))).toBe(404)
    expect(corp.requests).toEqual([])
  })
})
