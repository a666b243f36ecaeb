import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { startHerd } from '../e2e/support/herd.ts'
import { FakeRegistry } from '../support/fake-registry.ts'
import { buildBlob } from '../support/images.ts'
import { expectIntact } from '../support/oracle.ts'
import { TestMirror } from '../support/test-mirror.ts'

const MIB = 1024 * 1024
const CLIENTS = 1000
/** Large enough to be sent while it comes. */
const layer = buildBlob('herd', 1.25 * MIB)
const LAYER = `/v2/library/app/blobs/${layer.digest}`

describe('a herd of clients', () => {
  let registry: FakeRegistry
  let mirror: TestMirror

  beforeEach(async () => {
    registry = await FakeRegistry.start()
    registry.addBlob('library/app', layer)
    mirror = await TestMirror.start({ upstreams: { 'docker.io': { registry } } })
  })
  afterEach(async () => {
    await expectIntact(mirror, { retry: [LAYER] })
    await mirror[Symbol.asyncDispose]()
    await registry.close()
  })

  it('of a thousand shares one download of a cold blob, whose first reader leaves', async () => {
    const gate = registry.gate({ kind: 'blob', after: MIB })
    const url = `${mirror.url}${LAYER}`
    const herd = startHerd({ url, clients: CLIENTS + 1, leavesAfter: 64 * 1024 })
    try {
      await herd.streaming
      gate.open()
      const digests = await herd.digests
      expect(digests).toHaveLength(CLIENTS)
      expect(new Set(digests)).toEqual(new Set([layer.digest]))
      expect(registry.count()).toBe(1)
      expect(registry.bytesSent('blob')).toBe(layer.size)
      await expect.poll(() => mirror.records.length).toBe(CLIENTS + 1)
      const outcomes = mirror.records.map(({ subject }) => subject.outcome)
      expect(outcomes.filter((outcome) => outcome === 'miss')).toHaveLength(1)
      expect(outcomes.filter((outcome) => outcome === 'joined')).toHaveLength(CLIENTS)
    } finally {
      gate.open()
      await herd.stop()
    }
  }, 40_000)

  it('that asks by HEAD for a cold blob costs upstream one request of one byte', async () => {
    const heads = await Promise.all(Array.from({ length: 300 }, () => mirror.head(LAYER)))
    for (const { status, headers } of heads) {
      expect([status, headers.get('content-length')]).toEqual([200, String(layer.size)])
    }
    expect(registry.count()).toBe(1)
    expect(registry.bytesSent('blob')).toBeLessThanOrEqual(1)
    expect(await Array.fromAsync(mirror.store.list())).toEqual([])
  })
})
