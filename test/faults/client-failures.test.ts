import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import type { AccessPolicy } from '../../src/core/access-policy.ts'
import { FakeRegistry } from '../support/fake-registry.ts'
import { buildBlob, buildImage } from '../support/images.ts'
import { expectIntact } from '../support/oracle.ts'
import { TestMirror } from '../support/test-mirror.ts'

const MIB = 1024 * 1024
const image = buildImage({ seed: 'failures' })
const layer = buildBlob('failures', 8 * MIB)
const MANIFEST = '/v2/library/app/manifests/v1'
const LAYER = `/v2/library/app/blobs/${layer.digest}`
const CANARY = 'canary-in-an-error'

async function startRegistry(): Promise<FakeRegistry> {
  const registry = await FakeRegistry.start()
  registry.add('library/app', image, 'v1')
  registry.addBlob('library/app', layer)
  return registry
}

describe('a fault of the mirror itself', () => {
  const access: AccessPolicy = {
    decide(_, { name }) {
      if (name === 'library/broken') throw new TypeError(CANARY)
      return { allowed: true }
    },
  }

  it('in one request is a 500 that tells nothing, and hurts nobody else', async () => {
    await using registry = await startRegistry()
    await using mirror = await TestMirror.start({
      upstreams: { 'docker.io': { registry } },
      access,
    })
    const gate = registry.gate({ kind: 'blob', after: MIB })
    const other = mirror.fetch(LAYER)
    await gate.reached
    for (const method of ['GET', 'HEAD']) {
      for (const path of ['manifests/v1', `blobs/${layer.digest}`, 'tags/list']) {
        const response = await mirror.fetch(`/v2/library/broken/${path}`, { method })
        expect(response.status).toBe(500)
        const text = await response.text()
        expect(text).not.toContain(CANARY)
        expect(text).toContain(method === 'GET' ? '"code":"UNKNOWN"' : '')
      }
    }
    gate.open()
    const response = await other
    expect(response.status).toBe(200)
    expect(Buffer.from(await response.arrayBuffer()).equals(layer.bytes)).toBe(true)
    const failed = mirror.records.filter(({ status }) => status === 500)
    expect(failed).toHaveLength(6)
    for (const { subject } of failed) expect(subject.error).toBeInstanceOf(TypeError)
    await expectIntact(mirror, { retry: [MANIFEST, LAYER] })
  })
})

describe('an event loop that stands still for two seconds', () => {
  const block = () => {
    const end = performance.now() + 2_000
    while (performance.now() < end);
  }

  it('lets no time run out for those who wait: cold, warm and expired alike', async () => {
    await using registry = await startRegistry()
    await using mirror = await TestMirror.start({
      // A check that lasts as long as the tag's owner is patient would be served stale.
      upstreams: { 'docker.io': { registry, tags: { ttl: 0, patience: 10_000 } } },
    })
    await expectIntact(mirror, { retry: [MANIFEST] })
    registry.reset()
    const gate = registry.gate({ kind: 'blob', after: MIB })
    registry.inject({ kind: 'manifest', action: { delay: 50 } })
    const cold = mirror.fetch(LAYER)
    const expired = mirror.fetch(MANIFEST)
    await gate.reached
    await sleep(20)
    block()
    gate.open()
    const [layerAnswer, tagAnswer] = await Promise.all([cold, expired])
    expect(Buffer.from(await layerAnswer.arrayBuffer()).equals(layer.bytes)).toBe(true)
    expect(tagAnswer.status).toBe(200)
    expect(tagAnswer.headers.get('cache-status')).toBe('oci-mirror; hit; detail=revalidated')
    expect(Buffer.from(await tagAnswer.arrayBuffer()).equals(image.manifest.bytes)).toBe(true)
    expect(registry.count({ kind: 'blob' })).toBe(1)
    expect(mirror.logs.filter(({ level }) => level === 'warn' || level === 'error')).toEqual([])
    await expectIntact(mirror, { retry: [MANIFEST, LAYER] })
  })
})
