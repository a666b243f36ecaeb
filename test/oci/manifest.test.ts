import { describe, expect, it } from 'vitest'
import { defaultPlatformChild, ManifestMismatch, readManifest } from '../../src/oci/manifest.ts'
import { DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST } from '../../src/oci/media-types.ts'
import { buildImage, buildIndex } from '../support/images.ts'

const encode = (value: unknown) => new TextEncoder().encode(JSON.stringify(value))

describe('readManifest', () => {
  it.each([
    ['oci', OCI_MANIFEST],
    ['docker', DOCKER_MANIFEST],
  ] as const)('finds the configuration and the layers of an %s image', (mediaTypes, type) => {
    const image = buildImage({ mediaTypes, layers: 3 })
    const facts = readManifest(image.manifest.bytes, type)
    expect(facts.mediaType).toBe(type)
    const wanted = [image.config, ...image.layers].map(({ digest, size }) => ({ digest, size }))
    expect(facts.children.map(({ digest, size }) => ({ digest, size }))).toEqual(wanted)
  })

  it('finds the manifests of an index', () => {
    const index = buildIndex([
      buildImage(),
      buildImage({ platform: { os: 'linux', architecture: 'arm64' } }),
    ])
    const facts = readManifest(index.manifest.bytes, index.manifest.mediaType)
    expect(facts.children.map(({ digest }) => digest)).toEqual(
      index.images.map(({ manifest }) => manifest.digest),
    )
  })

  it('ignores parameters and case of the header', () => {
    const { manifest } = buildImage()
    expect(
      readManifest(manifest.bytes, `${OCI_MANIFEST.toUpperCase()}; charset=utf-8`).mediaType,
    ).toBe(OCI_MANIFEST)
  })

  it.each(['', 'text/plain', 'application/json; charset=utf-8', 'application/octet-stream'])(
    'asks the body when the header is %j',
    (header) => {
      expect(readManifest(encode({ manifests: [] }), header).mediaType).toBe(OCI_INDEX)
      expect(
        readManifest(encode({ mediaType: DOCKER_LIST, manifests: [] }), header).mediaType,
      ).toBe(DOCKER_LIST)
      const docker = {
        config: { mediaType: 'application/vnd.docker.container.image.v1+json' },
        layers: [],
      }
      expect(readManifest(encode(docker), header).mediaType).toBe(DOCKER_MANIFEST)
      expect(readManifest(encode({ config: {}, layers: [] }), header).mediaType).toBe(OCI_MANIFEST)
    },
  )

  it('lets an unknown type pass unread', () => {
    const facts = readManifest(new Uint8Array([0, 1, 2]), 'application/vnd.example+cbor')
    expect(facts).toEqual({ mediaType: 'application/vnd.example+cbor', children: [] })
  })

  it('names each child once, and leaves out what nobody could ask for', () => {
    const digest = `sha256:${'ab'.repeat(32)}`
    const layers = [
      { digest, size: 5 },
      { digest, size: 5 },
      { digest: 'sha256:../../etc/passwd', size: 1 },
      { digest: `md5:${'ab'.repeat(16)}`, size: 1 },
      { digest: `sha256:${'cd'.repeat(32)}`, size: -1 },
      { digest: `sha256:${'ef'.repeat(32)}`, size: 2 ** 60 },
      null,
      'text',
    ]
    const facts = readManifest(encode({ layers, config: 7 }), OCI_MANIFEST)
    expect(facts.children).toEqual([{ digest, size: 5, mediaType: '' }])
  })

  it.each([
    ['HTML', 'text/html', '<html>'],
    ['what is not JSON', OCI_MANIFEST, '<html>'],
    ['an array', OCI_MANIFEST, '[]'],
    ['a body that says another type', OCI_MANIFEST, JSON.stringify({ mediaType: OCI_INDEX })],
    ['an image that is also an index', OCI_MANIFEST, JSON.stringify({ manifests: [], layers: [] })],
    ['an index that is also an image', OCI_INDEX, JSON.stringify({ manifests: [], layers: [] })],
    ['schema 1 behind a newer type', DOCKER_MANIFEST, JSON.stringify({ fsLayers: [] })],
    ['a body that says nothing', 'application/json', '{}'],
  ])('refuses %s', (_, type, body) => {
    expect(() => readManifest(new TextEncoder().encode(body), type)).toThrow(ManifestMismatch)
  })

  it('survives a hundred thousand nested brackets', () => {
    const body = `{"layers":${'['.repeat(100_000)}${']'.repeat(100_000)}}`
    const read = () => readManifest(new TextEncoder().encode(body), OCI_MANIFEST)
    expect(read().children).toEqual([])
  })
})

describe('defaultPlatformChild', () => {
  it('is the linux/amd64 image of an index', () => {
    const arm = buildImage({ platform: { os: 'linux', architecture: 'arm64' } })
    const amd = buildImage({ platform: { os: 'linux', architecture: 'amd64' } })
    expect(defaultPlatformChild(buildIndex([arm, amd]).manifest.bytes)?.digest).toBe(
      amd.manifest.digest,
    )
    expect(defaultPlatformChild(buildIndex([arm]).manifest.bytes)).toBeUndefined()
  })
})
