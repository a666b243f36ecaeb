import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { FakeRegistry } from '../support/fake-registry.ts'
import type { HugeBlob } from '../support/images.ts'
import { buildHugeBlob } from '../support/images.ts'
import type { TempDir } from '../support/temp-dir.ts'
import { makeTempDir } from '../support/temp-dir.ts'
import { startHerd } from './support/herd.ts'
import type { MirrorProgram } from './support/mirror-program.ts'
import { startMirror } from './support/mirror-program.ts'

const MIB = 1024 * 1024
const CLIENTS = 30
const BLOB_BYTES = 256 * MIB
const MAX_MEMORY = 200 * MIB

let dir: TempDir
let registry: FakeRegistry
let mirror: MirrorProgram
let blob: HugeBlob
let url: string

beforeAll(async () => {
  dir = await makeTempDir()
  blob = buildHugeBlob('herd', BLOB_BYTES)
  registry = await FakeRegistry.start()
  registry.addBlob('library/huge', blob)
  const upstreams = { 'docker.io': { url: registry.url } }
  mirror = await startMirror({ dir: dir.path, config: { upstreams } })
  url = `${mirror.url}/v2/library/huge/blobs/${blob.digest}`
})

afterAll(async () => {
  await mirror?.stop()
  await registry?.close()
  await dir?.remove()
})

describe('thirty clients of one blob that is not cached', () => {
  it('share one download, from its first bytes on, although the first of them leaves', async () => {
    const gate = registry.gate({ kind: 'blob', after: BLOB_BYTES / 2 })
    const herd = startHerd({ url, clients: CLIENTS, leavesAfter: MIB })
    try {
      // Upstream has sent half and waits for us: whoever has a byte now, has it before the end.
      await gate.reached
      await herd.streaming
      expect(registry.bytesSent('blob')).toBe(BLOB_BYTES / 2)
      gate.open()
      expect(await herd.digests).toEqual(Array.from({ length: CLIENTS - 1 }, () => blob.digest))
      expect(registry.count()).toBe(1)
      expect(registry.requests[0]).toMatchObject({ kind: 'blob', method: 'GET' })
    } finally {
      gate.open()
      await herd.stop()
    }
  })

  it('leave it cached: later ones open no connection upstream', async () => {
    registry.reset()
    const sockets = registry.socketsOpened()
    const herd = startHerd({ url, clients: 3, leavesAfter: MIB })
    try {
      expect(await herd.digests).toEqual([blob.digest, blob.digest])
      expect(registry.count()).toBe(0)
      expect(registry.socketsOpened()).toBe(sockets)
    } finally {
      await herd.stop()
    }
  })

  it('never needed more than 200 MiB of memory', async () => {
    expect(await mirror.peakMemory()).toBeLessThan(MAX_MEMORY)
  })
})
