import { describe, expect, it } from 'vitest'
import { meteredUpstream } from '../../src/observe/metered-upstream.ts'
import type { RepositoryName } from '../../src/oci/reference.ts'
import { takeFirst } from '../support/blob-body.ts'
import { FakeRegistry } from '../support/fake-registry.ts'
import { buildBlob, buildImage } from '../support/images.ts'
import { collect, openFor } from '../upstream/open-for.ts'

const REPOSITORY = 'library/app' as RepositoryName
const never = new AbortController().signal

describe('a metered upstream', () => {
  it('counts bodies while they arrive, manifests and blobs apart', async () => {
    await using registry = await FakeRegistry.start()
    const image = buildImage()
    const blob = buildBlob('metered', 3_000_000)
    registry.add(REPOSITORY, image, 'v1')
    registry.addBlob(REPOSITORY, blob)
    const received = { manifest: 0, blob: 0 }
    const inner = openFor(registry)
    const upstream = meteredUpstream(inner, received)
    const { digest } = image.manifest
    await upstream.getManifest(REPOSITORY, { kind: 'digest', digest }, never)
    expect(received).toEqual({ manifest: image.manifest.size, blob: 0 })
    const gate = registry.gate({ kind: 'blob', after: 2_000_000 })
    const answer = await upstream.getBlob(REPOSITORY, blob.digest, never)
    let taken = 0
    await answer?.body.pump((bytes) => {
      taken += bytes.length
      expect(received.blob).toBe(taken)
      if (taken === 2_000_000) gate.open()
      return undefined
    })
    expect(received.blob).toBe(blob.size)
    const range = { start: 10, end: 1010 }
    const part = await upstream.getBlobRange(REPOSITORY, blob.digest, range, never)
    expect(part && (await collect(part.body))).toHaveLength(1000)
    expect(received.blob).toBe(blob.size + 1000)
    await upstream.close()
  })

  it('closes the body of a reader who leaves in the middle', async () => {
    await using registry = await FakeRegistry.start()
    const blob = buildBlob('left', 3_000_000)
    registry.addBlob(REPOSITORY, blob)
    const received = { manifest: 0, blob: 0 }
    const upstream = meteredUpstream(openFor(registry), received)
    const answer = await upstream.getBlob(REPOSITORY, blob.digest, never)
    expect(answer && (await takeFirst(answer.body))).toBeGreaterThan(0)
    await expect.poll(() => upstream.state().underWay).toBe(0)
    expect(received.blob).toBeGreaterThan(0)
    expect(received.blob).toBeLessThan(blob.size)
    await upstream.close()
  })
})
