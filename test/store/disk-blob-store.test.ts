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

  it('leaves a spool that can be written to where it is killed while adopting', async () => {
    await using dir = await makeTempDir()
    const modes: number[] = []
    const fs: Fs = {
      ...nodeFs,
      async rename(from) {
        modes.push((await nodeFs.stat(from)).mode & 0o777)
        throw new Error('killed')
      },
    }
    await expect(land(await DiskBlobStore.open(dir.path, fs))).rejects.toThrow('killed')
    expect(modes.map((mode) => mode & 0o200)).toEqual([0o200])
  })

  it('keeps a blob whose file it cannot make read-only', async () => {
    await using dir = await makeTempDir()
    const fs: Fs = {
      ...nodeFs,
      chmod: async () => {
        throw Object.assign(new Error('EPERM: refused by the test'), { code: 'EPERM' })
      },
    }
    const store = await DiskBlobStore.open(dir.path, fs)
    await land(store)
    expect(await store.stat(digest)).toEqual({ size: bytes.length })
    expect(await filesBelow(join(dir.path, 'spool'))).toEqual([])
  })

  it('keeps at its start what downloads left behind', async () => {
    await using dir = await makeTempDir()
    const before = await DiskBlobStore.open(dir.path)
    const spool = await before.createSpool(UPSTREAM, digest, bytes.length)
    await spool.write(bytes)
    await spool.keep(new Error('stopping'))
    await DiskBlobStore.open(dir.path)
    expect(await filesBelow(join(dir.path, 'spool'))).toEqual([digest])
  })

  it('resumes no spool that is in use, and none that is as long as the blob', async () => {
    await using dir = await makeTempDir()
    const long = seededBytes('long', 2_000_000)
    const name = digestOf(long)
    const store = await DiskBlobStore.open(dir.path)
    const spool = await store.createSpool(UPSTREAM, name, long.length)
    await spool.write(long.subarray(0, 1_500_000))
    expect(await store.resumeSpool(UPSTREAM, name, long.length)).toBeUndefined()
    await spool.keep(new Error('stopping'))
    expect(await store.resumeSpool(UPSTREAM, name, 1_400_000)).toBeUndefined()
    const resumed = await store.resumeSpool(UPSTREAM, name, long.length)
    expect(resumed?.length).toBe(1_499_999)
    await resumed?.write(long.subarray(1_499_999))
    const file = await resumed?.finish()
    if (file !== undefined) await store.adopt(file)
    expect(await store.stat(name)).toEqual({ size: long.length })
    expect(await filesBelow(join(dir.path, 'spool'))).toEqual([])
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
        truncate: (length) => file.truncate(length),
        datasync: () => file.datasync(),
        close: () => file.close(),
      }
    },
  }
}
