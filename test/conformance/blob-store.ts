import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { BlobStore, OpenBlob, Spool } from '../../src/core/ports.ts'
import { DigestMismatch } from '../../src/core/ports.ts'
import { readAll } from '../../src/core/read-all.ts'
import type { Digest } from '../../src/oci/digest.ts'
import { digestOf } from '../../src/oci/digest.ts'
import type { UpstreamName } from '../../src/oci/reference.ts'
import { seededBytes } from '../support/bytes.ts'

export interface StoreUnderTest {
  readonly store: BlobStore
  /** How many downloads have left something behind. */
  strays(): Promise<number>
  dispose(): Promise<void>
}

const UPSTREAM = 'docker.io' as UpstreamName
const WITHHELD = 32 * 1024

/** The contract of BlobStore, Spool and OpenBlob. New cases go here, not into one store's file. */
export function blobStoreConformance(name: string, create: () => Promise<StoreUnderTest>): void {
  describe(`${name} as a blob store`, () => {
    let subject: StoreUnderTest
    let store: BlobStore
    beforeEach(async () => {
      subject = await create()
      store = subject.store
    })
    afterEach(async () => {
      expect(await subject.strays()).toBe(0)
      await subject.dispose()
    })

    const bytes = seededBytes('blob', 300_000)
    const digest = digestOf(bytes)

    async function land(content: Uint8Array, as: Digest = digestOf(content)): Promise<void> {
      const spool = await store.createSpool(UPSTREAM, as, content.length)
      await spool.write(content)
      await store.adopt(await spool.finish())
    }

    it('has nothing that was not put there', async () => {
      expect(await store.stat(digest)).toBeUndefined()
      expect(await store.open(digest)).toBeUndefined()
      expect(await store.delete(digest)).toBe(false)
      expect(await Array.fromAsync(store.list())).toEqual([])
    })

    it('gives back what it adopted', async () => {
      await land(bytes)
      expect(await store.stat(digest)).toEqual({ size: bytes.length })
      expectBytes(await contentOf(store, digest), bytes)
      expect(await Array.fromAsync(store.list())).toEqual([{ digest, size: bytes.length }])
    })

    it('needs the memory of what was written no longer than the call', async () => {
      const spool = await store.createSpool(UPSTREAM, digest, bytes.length)
      const memory = new Uint8Array(100_000)
      for (let offset = 0; offset < bytes.length; offset += memory.length) {
        memory.set(bytes.subarray(offset, offset + memory.length))
        const ready = spool.write(memory)
        memory.fill(0)
        await ready
      }
      await store.adopt(await spool.finish())
      expectBytes(await contentOf(store, digest), bytes)
    })

    it('keeps sha512 content and empty content', async () => {
      const long = digestOf(bytes, 'sha512')
      const nothing = new Uint8Array()
      await land(bytes, long)
      await land(nothing)
      expectBytes(await contentOf(store, long), bytes)
      expectBytes(await contentOf(store, digestOf(nothing)), nothing)
    })

    it('adopts content that it has already', async () => {
      await land(bytes)
      await land(bytes)
      expectBytes(await contentOf(store, digest), bytes)
    })

    it('takes a blob of another size than expected for missing', async () => {
      await land(bytes)
      expect(await store.open(digest, bytes.length + 1)).toBeUndefined()
    })

    it('puts a damaged blob aside, where nothing reads it, until it is discarded', async () => {
      await land(bytes)
      expect(await store.quarantine(digest)).toBe(true)
      expect(await store.quarantine(digest)).toBe(false)
      expect(await store.open(digest)).toBeUndefined()
      expect(await Array.fromAsync(store.list())).toEqual([])
      expect(await store.quarantined()).toEqual([{ digest, size: bytes.length }])
      await land(bytes)
      expectBytes(await contentOf(store, digest), bytes)
      await store.discardQuarantined(digest)
      await store.discardQuarantined(digest)
      expect(await store.quarantined()).toEqual([])
      expectBytes(await contentOf(store, digest), bytes)
    })

    it('sends any range', async () => {
      await land(bytes)
      for (const [start, end] of [
        [0, 1],
        [0, bytes.length],
        [299_999, 300_000],
        [100_000, 250_000],
        [5, 5],
      ] as const) {
        const blob = await opened(store, digest)
        expectBytes(await pumped(blob, start, end), bytes.subarray(start, end))
        await blob.close()
      }
    })

    it('lets readers finish a blob that is deleted meanwhile', async () => {
      await land(bytes)
      const blob = await opened(store, digest)
      expect(await store.delete(digest)).toBe(true)
      expect(await store.open(digest)).toBeUndefined()
      expectBytes(await pumped(blob, 0, bytes.length), bytes)
      await blob.close()
    })

    it('stops sending when the reader aborts or fails', async () => {
      await land(bytes)
      const blob = await opened(store, digest)
      const gone = AbortSignal.abort(new Error('left'))
      await expect(blob.pump({ start: 0, end: 10 }, async () => {}, gone)).rejects.toThrow('left')
      const fail = async () => {
        throw new Error('broken pipe')
      }
      await expect(blob.pump({ start: 0, end: 10 }, fail, alive())).rejects.toThrow('broken pipe')
      await blob.close()
    })

    it('knows how much room its volume has', async () => {
      const { total, free } = await store.space()
      expect(total).toBeGreaterThan(0)
      expect(free).toBeLessThanOrEqual(total)
    })

    describe('spool', () => {
      it('gives a follower every byte, whenever it comes', async () => {
        const spool = await store.createSpool(UPSTREAM, digest, bytes.length)
        const early = follow(spool)
        for (let at = 0; at < bytes.length; at += 50_000)
          await spool.write(bytes.subarray(at, at + 50_000))
        const late = follow(spool)
        await store.adopt(await spool.finish())
        expectBytes(await early, bytes)
        expectBytes(await late, bytes)
      })

      it('gives the first bytes while the rest is still to come', async () => {
        const spool = await store.createSpool(UPSTREAM, digest, bytes.length)
        const blob = readerOf(spool)
        await spool.write(bytes.subarray(0, 100_000))
        expectBytes(await pumped(blob, 0, 100_000), bytes.subarray(0, 100_000))
        await blob.close()
        await spool.discard(new Error('end of test'))
      })

      it('withholds the last bytes until the digest is checked', async () => {
        const spool = await store.createSpool(UPSTREAM, digest, bytes.length)
        const blob = readerOf(spool)
        const seen = collector()
        const reading = blob.pump({ start: 0, end: bytes.length }, seen.write, alive())
        await spool.write(bytes)
        await seen.until(bytes.length - WITHHELD)
        await new Promise((resolve) => setTimeout(resolve, 20))
        expect(seen.length()).toBe(bytes.length - WITHHELD)
        await store.adopt(await spool.finish())
        await reading
        expectBytes(seen.bytes(), bytes)
        await blob.close()
      })

      it('withholds a rolling tail when nobody said how long the blob is', async () => {
        const spool = await store.createSpool(UPSTREAM, digest, undefined)
        const blob = readerOf(spool)
        const seen = collector()
        const reading = blob.pump({ start: 0, end: Infinity }, seen.write, alive())
        await spool.write(bytes.subarray(0, 200_000))
        await seen.until(200_000 - WITHHELD)
        await spool.write(bytes.subarray(200_000))
        await seen.until(bytes.length - WITHHELD)
        await store.adopt(await spool.finish())
        await reading
        expectBytes(seen.bytes(), bytes)
        await blob.close()
      })

      it.each([
        ['with the wrong digest', Buffer.concat([bytes.subarray(1), bytes.subarray(0, 1)])],
        ['that is too short', bytes.subarray(0, -1)],
      ])('ends a body %s short, and stores nothing', async (_, wrong) => {
        const spool = await store.createSpool(UPSTREAM, digest, bytes.length)
        const blob = readerOf(spool)
        const seen = collector()
        const reading = blob.pump({ start: 0, end: bytes.length }, seen.write, alive())
        const outcome = reading.catch((reason: unknown) => reason)
        await spool.write(wrong)
        const failure: unknown = await spool.finish().catch((reason: unknown) => reason)
        expect(failure).toBeInstanceOf(DigestMismatch)
        await spool.discard(failure)
        expect(await outcome).toBeInstanceOf(DigestMismatch)
        expect(seen.length()).toBeLessThanOrEqual(bytes.length - WITHHELD)
        await blob.close()
        expect(await store.stat(digest)).toBeUndefined()
      })

      it('refuses the first byte too many', async () => {
        const spool = await store.createSpool(UPSTREAM, digest, bytes.length)
        await spool.write(bytes)
        await expect(spool.write(new Uint8Array(1))).rejects.toThrow(DigestMismatch)
        await spool.discard(new Error('too long'))
      })

      it('has nothing more to follow once it has ended and the last reader has left', async () => {
        const spool = await store.createSpool(UPSTREAM, digest, bytes.length)
        const blob = readerOf(spool)
        await spool.write(bytes)
        await store.adopt(await spool.finish())
        const second = spool.open()
        expect(second).toBeDefined()
        await second?.close()
        await blob.close()
        expect(spool.open()).toBeUndefined()
      })

      it('serves two downloads of one digest side by side', async () => {
        const first = await store.createSpool(UPSTREAM, digest, bytes.length)
        const second = await store.createSpool(UPSTREAM, digest, bytes.length)
        await first.write(bytes)
        await second.write(bytes.subarray(0, 10))
        await second.discard(new Error('failed'))
        await store.adopt(await first.finish())
        expectBytes(await contentOf(store, digest), bytes)
      })
    })
  })
}

/** By digest: a difference in 300,000 bytes makes no readable message. */
function expectBytes(actual: Uint8Array, expected: Uint8Array): void {
  expect(actual.length).toBe(expected.length)
  expect(digestOf(actual)).toBe(digestOf(expected))
}

async function contentOf(store: BlobStore, digest: Digest): Promise<Uint8Array> {
  const blob = await opened(store, digest)
  return readAll(blob, blob.size ?? 0)
}

async function opened(store: BlobStore, digest: Digest): Promise<OpenBlob> {
  const blob = await store.open(digest)
  if (blob === undefined) throw new Error(`${digest} is not stored`)
  return blob
}

function readerOf(spool: Spool): OpenBlob {
  const blob = spool.open()
  if (blob === undefined) throw new Error('the spool has closed')
  return blob
}

async function pumped(blob: OpenBlob, start: number, end: number): Promise<Uint8Array> {
  const seen = collector()
  await blob.pump({ start, end }, seen.write, alive())
  return seen.bytes()
}

async function follow(spool: Spool): Promise<Uint8Array> {
  const blob = readerOf(spool)
  try {
    return await pumped(blob, 0, Infinity)
  } finally {
    await blob.close()
  }
}

/** Keeps copies: the memory of a chunk is reused once `write` has resolved. */
function collector() {
  const chunks: Uint8Array[] = []
  let length = 0
  let wake = Promise.withResolvers<void>()
  return {
    write: async (chunk: Uint8Array) => {
      chunks.push(Uint8Array.from(chunk))
      length += chunk.length
      wake.resolve()
      wake = Promise.withResolvers<void>()
    },
    length: () => length,
    bytes: () => Uint8Array.from(Buffer.concat(chunks)),
    async until(wanted: number) {
      for (;;) {
        if (length >= wanted) return
        await wake.promise
      }
    },
  }
}

function alive(): AbortSignal {
  return new AbortController().signal
}
