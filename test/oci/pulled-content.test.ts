import { describe, expect, it } from 'vitest'
import { pulledContent } from '../../src/oci/pulled-content.ts'
import { buildBlob, buildImage } from '../support/images.ts'

const [a, b, c] = ['a', 'b', 'c'].map((seed) => {
  const { digest, size, mediaType } = buildBlob(`pulled ${seed}`, 10)
  return { digest, size, mediaType }
})

function read(manifest: unknown): readonly string[] {
  return pulledContent(Buffer.from(JSON.stringify(manifest))).map(({ digest }) => digest)
}

describe('what a client asks for when it pulls an image', () => {
  it('is the configuration, then the layers in their order', () => {
    const image = buildImage({ layers: 3 })
    expect(pulledContent(image.manifest.bytes)).toEqual(
      [image.config, ...image.layers].map(({ digest, size, mediaType }) => ({
        digest,
        size,
        mediaType,
      })),
    )
  })

  it('has what is named twice only once, where it comes first', () => {
    expect(read({ config: a, layers: [b, c, b, a] })).toEqual([a, b, c].map((one) => one?.digest))
  })

  it.each([
    ['kept by its distributor', { mediaType: 'application/vnd.docker.image.rootfs.foreign.diff' }],
    [
      'not distributable',
      { mediaType: 'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip' },
    ],
    ['somewhere else', { mediaType: 'application/x', urls: ['https://elsewhere.example/layer'] }],
    ['inside the manifest', { mediaType: 'application/x', data: 'e30=' }],
  ])('has no layer whose bytes are %s', (_, how) => {
    expect(read({ config: a, layers: [{ ...b, ...how }, c] })).toEqual([a?.digest, c?.digest])
  })

  it('leaves out what cannot be asked for, and believes no shape', () => {
    const unfit = [null, 'text', { digest: 'md5:1', size: 1 }, { ...b, size: -1 }]
    expect(read({ config: 7, layers: [...unfit, c] })).toEqual([c?.digest])
    expect(read({ config: a, layers: 'none' })).toEqual([a?.digest])
    expect(read([])).toEqual([])
    expect(() => pulledContent(Buffer.from('no JSON'))).toThrow(SyntaxError)
  })
})
