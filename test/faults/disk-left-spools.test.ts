import { mkdir, readdir, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { QuotaLimits } from '../../src/core/room.ts'
import { digestOf } from '../../src/oci/digest.ts'
import { FailingFs } from '../support/failing-fs.ts'
import { FakeRegistry } from '../support/fake-registry.ts'
import type { TestBlob } from '../support/images.ts'
import { buildBlob } from '../support/images.ts'
import { expectIntact } from '../support/oracle.ts'
import type { TempDir } from '../support/temp-dir.ts'
import { makeTempDir } from '../support/temp-dir.ts'
import { TestMirror } from '../support/test-mirror.ts'

const MIB = 1024 * 1024
const REPOSITORY = 'library/app'
const NO_LIMITS: QuotaLimits = { maxSize: undefined, minFree: { bytes: 0 } }

describe('what interrupted downloads left', () => {
  const older = buildBlob('older', 4 * MIB)
  const newer = buildBlob('newer', 4 * MIB)
  const stored = buildBlob('stored', 2 * MIB)
  const next = buildBlob('next', 3 * MIB)
  const pathOf = ({ digest }: TestBlob) => `/v2/${REPOSITORY}/blobs/${digest}`
  let dir: TempDir
  let registry: FakeRegistry
  let disk: FailingFs

  beforeEach(async () => {
    disk = new FailingFs()
    dir = await makeTempDir()
    registry = await FakeRegistry.start()
    for (const blob of [older, newer, stored, next]) registry.addBlob(REPOSITORY, blob)
  })
  afterEach(async () => {
    await registry.close()
    await dir.remove()
  })

  const start = (limits: QuotaLimits) => {
    const upstreams = { 'docker.io': { registry } }
    return TestMirror.start({ upstreams, limits, fs: disk.fs }, dir)
  }

  /** Two thirds of what a run that was killed was to download, so many minutes ago. */
  async function leave({ digest, bytes }: TestBlob, minutesAgo: number): Promise<void> {
    const directory = join(dir.path, 'spool/docker.io')
    await mkdir(directory, { recursive: true })
    await writeFile(join(directory, digest), bytes.subarray(0, 3 * MIB))
    const at = new Date(Date.now() - minutesAgo * 60_000)
    await utimes(join(directory, digest), at, at)
  }

  async function pull(mirror: TestMirror, blob: TestBlob): Promise<string | null> {
    const response = await mirror.fetch(pathOf(blob))
    expect(digestOf(new Uint8Array(await response.arrayBuffer()))).toBe(blob.digest)
    await mirror.mirror.idle()
    return response.headers.get('cache-status')
  }

  const left = async () => (await readdir(join(dir.path, 'spool/docker.io'))).toSorted()
  const asked = () => registry.requests.filter(({ kind }) => kind === 'blob').at(-1)

  it('counts towards the limit, and the oldest goes before anything that is stored', async () => {
    await leave(newer, 10)
    await leave(older, 20)
    await using mirror = await start({ maxSize: 9 * MIB, minFree: { bytes: 0 } })
    expect(await pull(mirror, stored)).toContain('stored')
    expect(await left()).toEqual([newer.digest, older.digest].toSorted())
    expect(await pull(mirror, next)).toContain('stored')
    expect(await left()).toEqual([newer.digest])
    expect(await pull(mirror, stored)).toBe('oci-mirror; hit')
    expect(await pull(mirror, newer)).toContain('stored')
    expect(asked()?.headers['range']).toBe(`bytes=${3 * MIB - 1}-`)
    await expectIntact(mirror, { retry: [pathOf(stored), pathOf(newer)] })
  })

  it('stays where not even all of it would make room', async () => {
    await leave(older, 20)
    await using mirror = await start({ maxSize: 3.5 * MIB, minFree: { bytes: 0 } })
    expect(await pull(mirror, newer)).toContain('no-room')
    expect(await left()).toEqual([older.digest])
    expect(await pull(mirror, next)).toContain('stored')
    expect(await left()).toEqual([])
    await expectIntact(mirror)
  })

  it('makes room on a disk that is full, before anything is evicted', async () => {
    const stopped = await start(NO_LIMITS)
    await pull(stopped, stored)
    const gate = registry.gate({ kind: 'blob', after: 2 * MIB })
    const leaving = new AbortController()
    await stopped.fetch(pathOf(older), { signal: leaving.signal })
    await gate.reached
    await expect.poll(() => stopped.spooled()).toHaveLength(1)
    leaving.abort()
    await stopped.close()
    gate.open()
    await using mirror = await start(NO_LIMITS)
    expect(await left()).toEqual([older.digest])
    disk.fail({ operation: 'file.writev', path: '/spool/', code: 'ENOSPC', times: 1 })
    expect(await pull(mirror, next)).toContain('stored')
    expect(await left()).toEqual([])
    expect(await pull(mirror, stored)).toBe('oci-mirror; hit')
    await expectIntact(mirror, { retry: [pathOf(next), pathOf(older)] })
  })

  it('goes on to count where the disk does not let go of it', async () => {
    await leave(older, 20)
    await using mirror = await start({ maxSize: 5 * MIB, minFree: { bytes: 0 } })
    disk.fail({ operation: 'remove', path: '/spool/', code: 'EIO' })
    expect(await pull(mirror, next)).toContain('no-room')
    expect(await mirror.store.leftBytes()).toBe(3 * MIB)
    disk.heal()
    expect(await pull(mirror, next)).toContain('stored')
    expect(await mirror.store.leftBytes()).toBe(0)
    await expectIntact(mirror)
  })
})
