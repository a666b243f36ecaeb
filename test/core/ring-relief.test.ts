import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { FlightDeps } from '../../src/core/departure.ts'
import { depart } from '../../src/core/departure.ts'
import { DiskHealth } from '../../src/core/disk-health.ts'
import { untold } from '../../src/core/events.ts'
import { InUse } from '../../src/core/in-use.ts'
import { KeyedLock } from '../../src/core/keyed-lock.ts'
import type { Log } from '../../src/core/log.ts'
import { NoSpace } from '../../src/core/ports.ts'
import { Quota } from '../../src/core/quota.ts'
import { RingPool, RingRelief } from '../../src/core/ring-relief.ts'
import { systemClock as clock } from '../../src/core/system-clock.ts'
import type { BlobBody, Upstream } from '../../src/core/upstream.ts'
import { UpstreamFailure } from '../../src/core/upstream-failure.ts'
import type { Digest } from '../../src/oci/digest.ts'
import { digestOf } from '../../src/oci/digest.ts'
import type { Repository } from '../../src/oci/reference.ts'
import { DiskBlobStore } from '../../src/store/disk-blob-store.ts'
import { SqliteCatalog } from '../../src/store/sqlite-catalog.ts'
import { seededBytes } from '../support/bytes.ts'
import type { TempDir } from '../support/temp-dir.ts'
import { makeTempDir } from '../support/temp-dir.ts'

const REPOSITORY = { upstream: 'docker.io', name: 'acme/app' } as Repository
const SIZE = 2_000_000
/** As many as there are rings. */
const MANY = 16
const silent: Log = { debug() {}, info() {}, warn() {}, error() {} }

describe('memory for a download that the disk does not take', () => {
  let dir: TempDir
  let catalog: SqliteCatalog
  let store: DiskBlobStore
  let rings: RingPool
  let deps: FlightDeps

  beforeEach(async () => {
    dir = await makeTempDir()
    catalog = await SqliteCatalog.open(join(dir.path, 'catalog.db'))
    store = await DiskBlobStore.open(dir.path)
    rings = new RingPool(clock)
    const shared = { store, catalog, locks: new KeyedLock<Digest>(), log: silent, events: untold }
    const limits = { maxSize: SIZE / 2, minFree: { bytes: 0 } }
    const quota = new Quota({ ...shared, limits, inUse: new InUse(() => {}) })
    const health = new DiskHealth({ clock, log: silent })
    deps = { ...shared, quota, health, rings, clock }
  })
  afterEach(async () => {
    await catalog.close()
    await dir.remove()
  })

  function fly(digest: Digest, upstream: Partial<Upstream>) {
    const controller = new AbortController()
    const journey = {
      repository: REPOSITORY,
      digest,
      stated: SIZE,
      upstream: upstream as Upstream,
      controller,
      isWarm: () => false,
      hurry: new AbortController().signal,
      isSuspect: false,
      onFailed: () => {},
    }
    return depart(journey, deps)
  }

  it('is given back by downloads that are resumed and bring nothing', async () => {
    const upstream: Partial<Upstream> = {
      resumeBlob: async () => ({ size: SIZE, body: brokenBody() }),
    }
    for (let n = 0; n < MANY; n += 1) {
      const bytes = seededBytes(`left ${n}`, SIZE)
      const digest = digestOf(bytes)
      const left = await store.createSpool(REPOSITORY.upstream, digest, SIZE)
      await left.write(bytes.subarray(0, SIZE * 0.75))
      await left.keep(new Error('stopping'))
      const flight = await fly(digest, upstream)
      expect(flight?.isUnkept).toBe(true)
      await expect(flight?.landed).rejects.toThrow('broke')
    }
    expect(rings.taken).toBe(0)
  })

  it('is given back by downloads that do not get as far as a spool', async () => {
    const upstream: Partial<Upstream> = {
      getBlob: async () => ({ size: SIZE, body: brokenBody() }),
    }
    vi.spyOn(store, 'createSpool').mockRejectedValue(new Error('no spool'))
    for (let n = 0; n < MANY; n += 1) {
      const departed = fly(digestOf(Buffer.from(`cold ${n}`)), upstream)
      await expect(departed).rejects.toThrow('no spool')
    }
    expect(rings.taken).toBe(0)
  })

  it('stays with what has bytes in it, and is given back once', () => {
    const { signal } = new AbortController()
    const relief = new RingRelief({ ...deps, signal, isWarm: () => false })
    const ring = relief.goOnInMemory(new NoSpace('full', 'full'))
    ring.begin(0, new Set())
    relief.close()
    expect(rings.taken).toBe(1)
    ring.close()
    ring.close()
    expect(rings.taken).toBe(0)
  })
})

/** A download that breaks before its first byte. */
function brokenBody(): BlobBody {
  return {
    pump: () => Promise.reject(new UpstreamFailure('unavailable', 'the connection broke')),
  }
}
