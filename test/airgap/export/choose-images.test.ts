import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { ExportRequest } from '../../../src/core/airgap/export-api.ts'
import { digestHex } from '../../../src/oci/digest.ts'
import { get, pull } from '../../core/maintenance/pulled.ts'
import { buildArtifact } from '../../support/artifacts.ts'
import { buildImage } from '../../support/images.ts'
import { warm } from '../warm/warm.ts'
import { ARM64, EVERYTHING, SIGNATURE_TAG, startStocked, TOOL } from './stocked-mirror.ts'

const AMD64_ONLY: ExportRequest = { ...EVERYTHING, platforms: ['linux/amd64'] }
const NOTHING: ExportRequest = { ...AMD64_ONLY, all: false }
/** Of `acme/half:1`, which is not here as a whole. */
const OF_HALF = buildArtifact({ seed: 'of half' })
const OF_HALF_TAG = `sha256-${digestHex(ARM64.manifest.digest)}.sig`

let stocked: Awaited<ReturnType<typeof startStocked>>

beforeEach(async () => {
  stocked = await startStocked()
  stocked.registry.add('acme/half', OF_HALF, OF_HALF_TAG)
  await pull(stocked.mirror, 'acme/half', OF_HALF_TAG, OF_HALF)
})
afterEach(() => stocked[Symbol.asyncDispose]())

async function planned(request: ExportRequest) {
  const { images, incomplete } = await stocked.mirror.operations.exports.plan(request)
  const names = (list: readonly { readonly image: string }[]) => list.map(({ image }) => image)
  return { images: names(images), incomplete: names(incomplete) }
}

describe('the images of an export', () => {
  it.each([
    ['everything', AMD64_ONLY],
    ['a glob', { ...NOTHING, references: ['docker.io/*'] }],
    ['what was used', { ...NOTHING, usedSince: 1 }],
  ])(
    'have their signatures with them, and one that is left out takes its own along: %s',
    async (_, request) => {
      const { images, incomplete } = await planned(request)
      expect(images).toContain(`docker.io/library/app:${SIGNATURE_TAG}`)
      expect(images.filter((image) => image.includes('acme/half'))).toEqual([])
      expect(incomplete).toEqual(['docker.io/acme/half:1'])
    },
  )

  it('are signatures where they were asked for by name, or by a glob of nothing else', async () => {
    const name = `docker.io/acme/half:${OF_HALF_TAG}`
    for (const reference of [name, 'docker.io/acme/half:sha256-*']) {
      expect(await planned({ ...NOTHING, references: [reference] })).toEqual({
        images: [name],
        incomplete: [],
      })
    }
  })

  it('are those without a tag, too, that no client was ever given', async () => {
    const { mirror } = stocked
    const carried = buildImage({ seed: 'carried', layers: 1 })
    const { manifest, config, layers } = carried
    stocked.registry.add('acme/carried', carried)
    await warm(mirror, [`acme/carried@${manifest.digest}`])
    const name = `docker.io/acme/carried@${manifest.digest}`
    expect((await planned(AMD64_ONLY)).images).toContain(name)
    for (const { digest } of [manifest, config, ...layers])
      await mirror.mirror.control.evict(digest)
    // As all of it has gone, it is nothing that is here in part.
    expect(await planned(AMD64_ONLY)).toEqual({
      images: expect.not.arrayContaining([name]) as unknown,
      incomplete: ['docker.io/acme/half:1'],
    })
  })

  it('are the last to be evicted, unless they are only counted', async () => {
    const { mirror } = stocked
    const touch = vi.spyOn(mirror.catalog, 'touch')
    await planned({ ...AMD64_ONLY, dryRun: true })
    expect(touch).not.toHaveBeenCalled()
    await planned(AMD64_ONLY)
    const touched = touch.mock.calls.map(([digest]) => digest)
    expect(touched).toEqual(expect.arrayContaining([TOOL.manifest.digest, TOOL.config.digest]))
    expect(touched).not.toContain(ARM64.manifest.digest)
  })

  it('are not what a tag has left behind', async () => {
    const { mirror, registry } = stocked
    await get(mirror, `/v2/acme/tool/manifests/${TOOL.manifest.digest}`)
    registry.add('acme/tool', buildImage({ seed: 'newer' }), '2')
    await warm(mirror, ['acme/tool:2'])
    const { images } = await planned(AMD64_ONLY)
    expect(images).toContain('docker.io/acme/tool:2')
    expect(images).not.toContain(`docker.io/acme/tool@${TOOL.manifest.digest}`)
  })
})
