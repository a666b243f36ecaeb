import { execFile } from 'node:child_process'
import { mkdir, readdir, statfs, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { exportBundle } from '../../src/airgap/export/export-bundle.ts'
import type { ExportApi } from '../../src/core/airgap/export-api.ts'
import { systemClock } from '../../src/core/system-clock.ts'
import type { Digest } from '../../src/oci/digest.ts'
import { descriptor } from '../support/artifacts.ts'
import { buildBlob } from '../support/images.ts'
import type { TempDir } from '../support/temp-dir.ts'
import { makeTempDir } from '../support/temp-dir.ts'

const run = promisify(execFile)
const MIB = 1024 * 1024
const BLOBS = [1, 2, 3, 4].map((n) => buildBlob(`export ${n}`, 2 * MIB))
const [MANIFEST = buildBlob('none', 0)] = BLOBS

/** A real file system of 12 MiB, which only root can mount, for a bundle of 8. */
describe('a volume that a bundle is written to', () => {
  let dir: TempDir
  let volume: string

  beforeAll(async () => {
    dir = await makeTempDir()
    volume = join(dir.path, 'volume')
    await mkdir(volume)
    await run('mount', ['-t', 'tmpfs', '-o', 'size=12m', 'tmpfs', volume])
  })
  afterAll(async () => {
    await run('umount', [volume])
    await dir.remove()
  })

  /** `onRead` is told of each blob before it is read. */
  function write(onRead: (n: number) => Promise<void>, split?: number) {
    const blobs = BLOBS.map((blob) => ({ ...descriptor(blob), kind: 'blob' as const }))
    let reads = 0
    const exports: ExportApi = {
      plan: async () => ({
        platforms: ['all'],
        images: [
          {
            image: 'a.b/c:1',
            manifest: descriptor(MANIFEST),
            platforms: 'all',
            parts: [0, 1, 2, 3],
          },
        ],
        blobs,
        incomplete: [],
      }),
      read: async (digest: Digest, start) => {
        await onRead((reads += 1))
        const { bytes = new Uint8Array(0) } = BLOBS.find((blob) => blob.digest === digest) ?? {}
        const body = (async function* () {
          for (let at = start; at < bytes.length; at += 65_536)
            yield bytes.subarray(at, at + 65_536)
        })()
        return { size: bytes.length, body }
      },
    }
    const request = { references: [], all: true, pinned: false, referrers: true }
    const options = { out: join(volume, 'week34.tar'), have: [], force: false, dryRun: false }
    return exportBundle(
      request,
      { ...options, format: 'bundle', refName: 'tag', ...(split !== undefined && { split }) },
      { exports, clock: systemClock, tool: 'a test', onProgress: () => {} },
      new AbortController().signal,
    )
  }

  async function fill(leave: number): Promise<void> {
    const { bavail, bsize } = await statfs(volume)
    await writeFile(join(volume, 'filler'), Buffer.alloc(Math.max(0, bavail * bsize - leave)))
  }

  it('that has no room is refused with the numbers, before anything is read', async () => {
    await fill(4 * MIB)
    await expect(write(() => Promise.reject(new Error('it was read')))).rejects.toThrow(
      /^\S+volume has 4,194,304 bytes left, and this needs 8,[\d,]+: make room/,
    )
    expect(await readdir(volume)).toEqual(['filler'])
    await unlink(join(volume, 'filler'))
  })

  it.each([
    ['one file', undefined],
    ['parts', 5 * MIB],
  ])('that fills up meanwhile is named, and left without a trace of %s', async (_, split) => {
    const failed = write((n) => (n === 3 ? fill(0) : Promise.resolve()), split)
    await expect(failed).rejects.toThrow(
      /^cannot write \S+week34\S*\.tar: the volume is full; what was written of it is removed$/,
    )
    expect(await readdir(volume)).toEqual(['filler'])
    await unlink(join(volume, 'filler'))
    await write(() => Promise.resolve(), split)
    expect(await readdir(volume)).toContain('week34.json')
    for (const name of await readdir(volume)) await unlink(join(volume, name))
  })
})
