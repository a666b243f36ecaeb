import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { NoSpace } from '../../src/core/ports.ts'
import { digestHex, digestOf } from '../../src/oci/digest.ts'
import type { UpstreamName } from '../../src/oci/reference.ts'
import { DiskBlobStore } from '../../src/store/disk-blob-store.ts'
import type { Fs } from '../../src/store/fs.ts'
import { nodeFs } from '../../src/store/fs.ts'
import { blobStoreConformance } from '../conformance/blob-store.ts'
import { seededBytes } from '../support/bytes.ts'
import { makeTempDir } from '../support/temp-dir.ts'

const UPSTREAM = 'docker.io' as UpstreamName

blobStoreConformance('DiskBlobStore', async () => {
  const dir = await makeTempDir()
  const store = await DiskBlobStore.open(dir.path)
  return {
    store,
    strays: async () => (await filesBelow(join(dir.path, 'spool'))).length,
    dispose: dir.remove,
  }
})

describe('DiskBlobStore', () => {
  const bytes = seededBytes('disk', 100_000)
  const digest = digestOf(bytes)

  async function land(store: DiskBlobStore): Promise<void> {
    const spool = await store.createSpool(UPSTREAM, digest, bytes.length)
    await spool.write(bytes)
    await store.adopt(await spool.finish())
  }

  it('names files by content, read-only, in a directory by their first two characters', async () => {
    await using dir = await makeTempDir()
    await land(await DiskBlobStore.open(dir.path))
    const hex = digestHex(digest)
    const path = join(dir.path, 'blobs/sha256', hex.slice(0, 2), hex)
    expect((await nodeFs.stat(path)).mode & 0o777).toBe(0o440)
  })

  it('removes at its start what downloads left behind', async () => {
    await using dir = await makeTempDir()
    const before = await DiskBlobStore.open(dir.path)
    const spool = await before.createSpool(UPSTREAM, digest, bytes.length)
    await spool.write(bytes)
    expect(await filesBelow(join(dir.path, 'spool'))).toHaveLength(1)
    await DiskBlobStore.open(dir.path)
    expect(await filesBelow(join(dir.path, 'spool'))).toEqual([])
    await spool.discard(new Error('end of test'))
  })

  it.each(['ENOSPC', 'EDQUOT', 'EIO', 'EROFS', 'EMFILE'])(
    'reports %s as no space, and leaves nothing',
    async (code) => {
      await using dir = await makeTempDir()
      const store = await DiskBlobStore.open(dir.path, failingWrites(code))
      const spool = await store.createSpool(UPSTREAM, digest, bytes.length)
      await spool.write(bytes)
      const failure: unknown = await spool.finish().catch((reason: unknown) => reason)
      expect(failure).toBeInstanceOf(NoSpace)
      expect(failure).toHaveProperty('message', expect.stringContaining(code))
      await spool.discard(failure)
      expect(await filesBelow(dir.path)).toEqual([])
    },
  )

  it('writes what a short write left over', async () => {
    await using dir = await makeTempDir()
    const store = await DiskBlobStore.open(dir.path, shortWrites(7_777))
    await land(store)
    expect(await store.stat(digest)).toEqual({ size: bytes.length })
  })
})

async function filesBelow(path: string): Promise<readonly string[]> {
  const entries = await readdir(path, { recursive: true, withFileTypes: true })
  return entries.filter((entry) => entry.isFile()).map(({ name }) => name)
}

function failingWrites(code: string): Fs {
  return withWritev(async () => {
    throw Object.assign(new Error(`${code}: refused by the test`), { code })
  })
}

/** Takes at most so many bytes of the first buffer, as a nearly full disk does. */
function shortWrites(bytes: number): Fs {
  return withWritev((writev, [first], position) =>
    writev([(first ?? new Uint8Array()).subarray(0, bytes)], position),
  )
}

type Writev = (
  buffers: readonly Uint8Array[],
  position: number,
) => Promise<{ bytesWritten: number }>

function withWritev(
  write: (writev: Writev, ...args: Parameters<Writev>) => ReturnType<Writev>,
): Fs {
  return {
    ...nodeFs,
    async open(path, flags, mode) {
      const file = await nodeFs.open(path, flags, mode)
      return {
        read: (...args) => file.read(...args),
        writev: (...args) => write((...inner) => file.writev(...inner), ...args),
        stat: () => file.stat(),
        close: () => file.close(),
      }
    },
  }
}
