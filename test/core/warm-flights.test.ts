import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Flight } from '../../src/core/departure.ts'
import { DiskHealth } from '../../src/core/disk-health.ts'
import { untold } from '../../src/core/events.ts'
import { Flights } from '../../src/core/flights.ts'
import { InUse } from '../../src/core/in-use.ts'
import { KeyedLock } from '../../src/core/keyed-lock.ts'
import type { Log } from '../../src/core/log.ts'
import { Manifests } from '../../src/core/manifests.ts'
import { NoSpace } from '../../src/core/ports.ts'
import { Quota } from '../../src/core/quota.ts'
import { RingPool } from '../../src/core/ring-relief.ts'
import type { Upstream } from '../../src/core/upstream.ts'
import { UpstreamFailure } from '../../src/core/upstream-failure.ts'
import type { Digest } from '../../src/oci/digest.ts'
import type { Repository } from '../../src/oci/reference.ts'
import { nodeFs } from '../../src/store/fs.ts'
import { DiskBlobStore } from '../../src/store/disk-blob-store.ts'
import { SqliteCatalog } from '../../src/store/sqlite-catalog.ts'
import { bodyOfPieces } from '../support/blob-body.ts'
import { ManualClock } from '../support/clock.ts'
import type { TestBlob } from '../support/images.ts'
import { buildBlob, buildImage } from '../support/images.ts'
import type { TempDir } from '../support/temp-dir.ts'
import { makeTempDir } from '../support/temp-dir.ts'

const REPOSITORY = { upstream: 'docker.io', name: 'acme/app' } as Repository
const OTHER = { upstream: 'docker.io', name: 'acme/other' } as Repository
const SIZE = 100_000
/** Room for a small manifest. */
const SPARE = 1_000
const HOUR = 60 * 60_000
const [a, b, c] = ['a', 'b', 'c'].map((seed) => buildBlob(`warm ${seed}`, SIZE)) as [
  TestBlob,
  TestBlob,
  TestBlob,
]
const silent: Log = { debug() {}, info() {}, warn() {}, error() {} }
const nextTurn = () => new Promise((resolve) => setImmediate(resolve))

/** A registry that counts what it is asked, and answers when it is told to, or when there is a hurry. */
class Lane {
  asked = 0
  readonly signals: AbortSignal[] = []
  readonly #answer: (digest: Digest, signal: AbortSignal) => AsyncIterable<Uint8Array> | undefined
  readonly #until: Promise<unknown>

  constructor(answer: Lane['open'], until: Promise<unknown> = Promise.resolve()) {
    this.#answer = answer
    this.#until = until
  }

  get open() {
    return this.#answer
  }

  get upstream(): Upstream {
    const getBlob: Upstream['getBlob'] = async (_, digest, signal, hurry) => {
      this.asked += 1
      this.signals.push(signal)
      const hurried = new Promise((resolve) => hurry?.addEventListener('abort', resolve))
      await orAborted(Promise.race([this.#until, hurried]), signal)
      const body = this.#answer(digest, signal)
      return body && { size: SIZE, body: bodyOfPieces(body) }
    }
    const resumeBlob: Upstream['resumeBlob'] = (repository, digest, _, signal, hurry) =>
      getBlob(repository, digest, signal, hurry)
    return { getBlob, resumeBlob } as Partial<Upstream> as Upstream
  }
}

async function orAborted(wait: Promise<unknown>, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted()
  const stopped = Promise.withResolvers<never>()
  signal.addEventListener('abort', () => stopped.reject(signal.reason), { once: true })
  await Promise.race([wait, stopped.promise])
}

function bodyOf(digest: Digest): AsyncIterable<Uint8Array> | undefined {
  const blob = [a, b, c].find((one) => one.digest === digest)
  return blob && chunksOf(blob.bytes)
}

async function* chunksOf(bytes: Uint8Array, pause: Promise<unknown> = Promise.resolve()) {
  yield Buffer.from(bytes.subarray(0, SIZE / 2))
  await pause
  yield Buffer.from(bytes.subarray(SIZE / 2))
}

describe('what is fetched for a warming', () => {
  let dir: TempDir
  let catalog: SqliteCatalog
  let store: DiskBlobStore
  let clock: ManualClock
  let health: DiskHealth
  let flights: Flights
  let manifests: Manifests
  /** Bytes that the disk takes; a write beyond is refused. */
  let room: number

  beforeEach(async () => {
    clock = new ManualClock()
    room = Infinity
    dir = await makeTempDir()
    catalog = await SqliteCatalog.open(join(dir.path, 'catalog.db'))
    const fs = { ...nodeFs, open: refusing }
    store = await DiskBlobStore.open(dir.path, fs)
    const shared = { store, catalog, locks: new KeyedLock<Digest>(), log: silent, events: untold }
    const limits = { maxSize: 2 * SIZE + SPARE, minFree: { bytes: 0 } }
    const quota = new Quota({ ...shared, limits, inUse: new InUse(() => {}) })
    health = new DiskHealth({ clock, log: silent })
    flights = new Flights({ ...shared, quota, health, clock, rings: new RingPool(clock) })
    manifests = new Manifests({ ...shared, quota, health, clock })
  })
  afterEach(async () => {
    flights.abort(new Error('the test is over'))
    await flights.idle()
    expect(await store.leftBytes()).toBe(0)
    await catalog.close()
    await dir.remove()
  })

  const refusing: typeof nodeFs.open = async (path, flags, mode) => {
    const file = await nodeFs.open(path, flags, mode)
    return {
      read: (...args) => file.read(...args),
      stat: () => file.stat(),
      truncate: (length) => file.truncate(length),
      datasync: () => file.datasync(),
      close: () => file.close(),
      async writev(buffers, position) {
        room -= buffers.reduce((sum, { byteLength }) => sum + byteLength, 0)
        if (room < 0) throw Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' })
        return file.writev(buffers, position)
      },
    }
  }

  const fly = (
    { digest }: TestBlob,
    purpose: 'client' | 'warm',
    lane = new Lane(bodyOf),
    repository = REPOSITORY,
  ) => flights.join(repository, digest, SIZE, lane.upstream, purpose)

  async function land(blob: TestBlob, purpose: 'client' | 'warm' = 'client'): Promise<void> {
    const flight = await fly(blob, purpose)
    await flight?.landed
  }

  /** What a client gets who follows it. */
  async function follow(flight: Flight | undefined): Promise<number> {
    const blob = flight?.open()
    if (blob === undefined) throw new Error('it cannot be followed')
    let bytes = 0
    const take = async (chunk: Uint8Array) => {
      bytes += chunk.length
    }
    try {
      await blob.pump({ start: 0, end: SIZE }, take, new AbortController().signal)
    } finally {
      await blob.close()
    }
    return bytes
  }

  const isStored = async ({ digest }: TestBlob) => (await store.stat(digest)) !== undefined

  describe('where there is no room', () => {
    it('evicts what was not used within a day, and nothing else', async () => {
      await land(a)
      await clock.advance(25 * HOUR)
      await land(b)
      await clock.advance(HOUR)
      await land(c, 'warm')
      expect(await Promise.all([a, b, c].map(isStored))).toEqual([false, true, true])
      await clock.advance(23 * HOUR)
      const refused = fly(a, 'warm')
      await expect(refused).rejects.toBeInstanceOf(NoSpace)
      await expect(refused).rejects.toThrow(
        /no room for 100000 bytes within storage.maxSize \(201000 bytes\).* what was used within a day does not make room for it/,
      )
      expect(await Promise.all([a, b, c].map(isStored))).toEqual([false, true, true])
      // Nothing is wrong with the disk.
      expect(health.state).toEqual({ kind: 'ok' })
      // A client's pull is another matter.
      await land(a)
      expect(await Promise.all([a, b, c].map(isStored))).toEqual([true, false, true])
    })

    it('counts the use of a manifest as use of what it names', async () => {
      await land(a)
      const manifest = buildImage({ layers: 1 }).manifest
      const { digest, size, mediaType } = manifest
      await catalog.record(REPOSITORY, { digest, size, mediaType }, [a])
      await catalog.landed(REPOSITORY, digest, size, clock.now())
      await clock.advance(25 * HOUR)
      await land(b)
      catalog.touch(digest, clock.now())
      await expect(fly(c, 'warm')).rejects.toBeInstanceOf(NoSpace)
      expect(await Promise.all([a, b].map(isStored))).toEqual([true, true])
    })

    it('fails where the disk refuses in the middle, and leaves nothing in memory', async () => {
      await land(a)
      await land(b)
      await clock.advance(25 * HOUR)
      catalog.touch(b.digest, clock.now())
      room = SIZE / 2
      const flight = await fly(c, 'warm')
      await expect(flight?.landed).rejects.toBeInstanceOf(NoSpace)
      expect(flight?.isUnkept).toBe(false)
      expect(health.state).toMatchObject({ kind: 'full' })
      // That made room for a second try, and then the rest had to stay.
      expect(await Promise.all([a, b, c].map(isStored))).toEqual([false, true, false])
    })

    it('goes on in memory once a client follows it', async () => {
      const gate = Promise.withResolvers<void>()
      const lane = new Lane(() => chunksOf(a.bytes, gate.promise))
      const warm = await fly(a, 'warm', lane)
      const client = await fly(a, 'client')
      expect(client).toBe(warm)
      const got = follow(client)
      room = 0
      gate.resolve()
      expect(await got).toBe(SIZE)
      await expect(warm?.landed).rejects.toThrow('there was no room to keep')
      expect(lane.asked).toBe(1)
    })
  })

  describe('and by a client at the same time', () => {
    it('is one download where upstream has answered the warming', async () => {
      const gate = Promise.withResolvers<void>()
      const lane = new Lane(() => chunksOf(a.bytes, gate.promise))
      const never = new Lane(() => undefined)
      const warm = await fly(a, 'warm', lane)
      const got = follow(await fly(a, 'client', never))
      gate.resolve()
      expect(await got).toBe(SIZE)
      await warm?.landed
      expect([lane.asked, never.asked]).toEqual([1, 0])
    })

    it.each([
      ['the same repository', REPOSITORY],
      ['another repository', OTHER],
    ])(
      'does not let the client wait for a turn behind other clients (%s)',
      async (_, repository) => {
        const waiting = new Lane(bodyOf, new Promise(() => {}))
        const warm = [fly(a, 'warm', waiting), fly(a, 'warm', waiting)]
        await expect.poll(() => waiting.asked).toBe(1)
        const never = new Lane(() => undefined)
        const client = await fly(a, 'client', never, repository)
        expect(await follow(client)).toBe(SIZE)
        for (const flight of await Promise.all(warm)) expect(flight).toBe(client)
        await client?.landed
        expect(await isStored(a)).toBe(true)
        expect([waiting.asked, never.asked]).toEqual([1, 0])
      },
    )

    it.each([
      ['no turn', new UpstreamFailure('busy', 'the queue is full')],
      ['no room', new NoSpace('no room', 'limit')],
    ])('says nothing to the client where the warming was given %s', async (_, reason) => {
      const gate = Promise.withResolvers<void>()
      const refused = new Lane(() => {
        throw reason
      }, gate.promise)
      const warm = fly(a, 'warm', refused).catch((failure: unknown) => failure)
      await expect.poll(() => refused.asked).toBe(1)
      const lane = new Lane(bodyOf)
      const clients = [fly(a, 'client', lane), fly(a, 'client', lane)]
      const got = clients.map(async (client) => follow(await client))
      expect(await Promise.all(got)).toEqual([SIZE, SIZE])
      expect(await warm).toBe(reason)
      expect([refused.asked, lane.asked]).toEqual([1, 1])
    })

    it('is joined by the warming where the client came first', async () => {
      const gate = Promise.withResolvers<void>()
      const client = fly(a, 'client', new Lane(bodyOf, gate.promise))
      const never = new Lane(() => undefined)
      const warm = fly(a, 'warm', never)
      await nextTurn()
      gate.resolve()
      expect(await warm).toBe(await client)
      await (
        await warm
      )?.landed
      expect(never.asked).toBe(0)
    })
  })

  it('makes way for clients when as much is under way as may be, and stops nothing itself', async () => {
    const endless = new Promise(() => {})
    const started = Array.from({ length: 1024 }, (_, n) => {
      const flight = fly(buildBlob(`waiting ${n}`, 10), 'warm', new Lane(bodyOf, endless))
      return flight.catch((reason: unknown) => reason)
    })
    await nextTurn()
    await expect(fly(a, 'warm')).rejects.toMatchObject({ kind: 'busy' })
    expect(flights.aloft).toBe(1024)
    await land(a)
    expect(await started[0]).toMatchObject({ kind: 'busy', message: /make way/ })
    expect(flights.aloft).toBe(1023)
  })

  it('has its slot taken by a client for whom upstream has no other, and keeps what it has', async () => {
    const stuck = (signal: AbortSignal) => orAborted(new Promise(() => {}), signal)
    const taken = new Lane((_, signal) => chunksOf(a.bytes, stuck(signal)))
    const warm = await fly(a, 'warm', taken)
    let isBusy = true
    const lane = new Lane((digest) => {
      if (isBusy) {
        isBusy = false
        throw new UpstreamFailure('busy', 'no slot')
      }
      return bodyOf(digest)
    })
    await fly(b, 'client', lane).then((flight) => flight?.landed)
    await expect(warm?.landed).rejects.toMatchObject({ kind: 'busy' })
    expect(await store.leftBytes()).toBe(SIZE / 2)
    await store.dropLeft(SIZE)
  })

  it('ends for good when everything is stopped, and nothing is begun after it', async () => {
    const stuck = (signal: AbortSignal) => orAborted(new Promise(() => {}), signal)
    const lane = new Lane((_, signal) => chunksOf(a.bytes, stuck(signal)))
    const warm = await fly(a, 'warm', lane)
    const waiting = new Lane(bodyOf, new Promise(() => {}))
    const unanswered = fly(b, 'warm', waiting)
    const stopping = new Error('the mirror is stopping')
    flights.abort(stopping)
    await expect(unanswered).rejects.toBe(stopping)
    await expect(warm?.landed).rejects.toBe(stopping)
    const never = new Lane(bodyOf)
    for (const purpose of ['warm', 'client'] as const) {
      await expect(fly(c, purpose, never)).rejects.toBe(stopping)
    }
    expect([never.asked, flights.aloft]).toEqual([0, 0])
    await store.dropLeft(SIZE)
  })

  describe('as a manifest', () => {
    const { manifest } = buildImage({ layers: 10 })
    const body = {
      descriptor: { digest: manifest.digest, mediaType: manifest.mediaType, size: manifest.size },
      bytes: manifest.bytes,
    }
    const answering = (until: Promise<unknown> = Promise.resolve()) => {
      let asked = 0
      const getManifest: Upstream['getManifest'] = async () => {
        asked += 1
        await until
        return body
      }
      return { upstream: { getManifest } as Partial<Upstream> as Upstream, asked: () => asked }
    }

    it('is refused where it would cost what was used within a day, and a client gets it', async () => {
      await land(a)
      await land(b)
      const warm = manifests.fetch(REPOSITORY, manifest.digest, answering().upstream, 'warm')
      await expect(warm.result).rejects.toBeInstanceOf(NoSpace)
      expect(await store.stat(manifest.digest)).toBeUndefined()
      const client = manifests.fetch(REPOSITORY, manifest.digest, answering().upstream)
      expect((await client.result)?.descriptor.digest).toBe(manifest.digest)
      expect(await store.stat(manifest.digest)).toBeDefined()
    })

    it('does not let a client wait for its turn, and is not asked for beside a client', async () => {
      const gate = Promise.withResolvers<void>()
      const waiting = answering(gate.promise)
      const warm = manifests.fetch(REPOSITORY, manifest.digest, waiting.upstream, 'warm')
      const client = manifests.fetch(REPOSITORY, manifest.digest, answering().upstream)
      expect(client.first).toBe(true)
      expect(await client.result).toBeDefined()
      gate.resolve()
      expect(await warm.result).toBeDefined()
      const slow = Promise.withResolvers<void>()
      manifests.fetch(REPOSITORY, manifest.digest, answering(slow.promise).upstream)
      const unasked = answering()
      const joined = manifests.fetch(REPOSITORY, manifest.digest, unasked.upstream, 'warm')
      expect(joined.first).toBe(false)
      slow.resolve()
      await joined.result
      expect(unasked.asked()).toBe(0)
    })
  })
})
