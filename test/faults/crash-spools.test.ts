import { mkdir, readdir, stat, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { digestOf } from '../../src/oci/digest.ts'
import { FakeRegistry } from '../support/fake-registry.ts'
import { buildBlob } from '../support/images.ts'
import { expectIntact } from '../support/oracle.ts'
import type { TempDir } from '../support/temp-dir.ts'
import { makeTempDir } from '../support/temp-dir.ts'
import { TestMirror } from '../support/test-mirror.ts'

const MIB = 1024 * 1024
const BLOB = buildBlob('left behind', 8 * MIB)
const PATH = `/v2/library/app/blobs/${BLOB.digest}`
const DAY = 24 * 60 * 60_000

describe('a download that a crash interrupted', () => {
  let dir: TempDir
  let registry: FakeRegistry
  beforeEach(async () => {
    dir = await makeTempDir()
    registry = await FakeRegistry.start()
    registry.addBlob('library/app', BLOB)
  })
  afterEach(async () => {
    await registry.close()
    await dir.remove()
  })

  function start(): Promise<TestMirror> {
    return TestMirror.start({ upstreams: { 'docker.io': { registry } } }, dir)
  }

  /** What a run that was killed had written of the blob. */
  async function leave(bytes: Uint8Array, upstream = 'docker.io'): Promise<string> {
    const directory = join(dir.path, 'spool', upstream)
    await mkdir(directory, { recursive: true })
    const path = join(directory, BLOB.digest)
    await writeFile(path, bytes)
    return path
  }

  function ranges(): readonly (string | undefined)[] {
    return registry.requests
      .filter(({ kind }) => kind === 'blob')
      .map(({ headers }) => headers['range'])
  }

  async function pull(mirror: TestMirror): Promise<string> {
    const response = await mirror.fetch(PATH)
    expect(response.status).toBe(200)
    return digestOf(new Uint8Array(await response.arrayBuffer()))
  }

  it('goes on where it was when someone asks, and not before', async () => {
    await leave(BLOB.bytes.subarray(0, 5 * MIB))
    await using mirror = await start()
    expect(ranges()).toEqual([])
    expect(await pull(mirror)).toBe(BLOB.digest)
    expect(ranges()).toEqual([`bytes=${5 * MIB - 1}-`])
    expect(registry.bytesSent('blob')).toBe(3 * MIB + 1)
    await expectIntact(mirror, { retry: [PATH] })
  })

  it('asks for the last byte although all of it is here, because the answer is a proof', async () => {
    await leave(BLOB.bytes)
    await using mirror = await start()
    expect(await pull(mirror)).toBe(BLOB.digest)
    expect(registry.bytesSent('blob')).toBe(1)
    await expectIntact(mirror, { retry: [PATH] })
  })

  it('is not given to those whom upstream does not know', async () => {
    await leave(BLOB.bytes)
    await using mirror = await start()
    const other = await mirror.fetch(`/v2/library/other/blobs/${BLOB.digest}`)
    expect(other.status).toBe(404)
    await expectIntact(mirror, { retry: [PATH] })
  })

  it('serves everyone who waits, from the first byte', async () => {
    await leave(BLOB.bytes.subarray(0, 5 * MIB))
    await using mirror = await start()
    const digests = await Promise.all(Array.from({ length: 5 }, () => pull(mirror)))
    expect(new Set(digests)).toEqual(new Set([BLOB.digest]))
    expect(ranges()).toHaveLength(1)
    await expectIntact(mirror)
  })

  it('is thrown away when it turns out to be wrong, and fetched from its beginning once', async () => {
    const wrong = Uint8Array.from(BLOB.bytes.subarray(0, 5 * MIB))
    wrong[1_000] = 255 - (wrong[1_000] ?? 0)
    await leave(wrong)
    await using mirror = await start()
    const cut = await mirror.fetch(PATH)
    await expect(cut.arrayBuffer()).rejects.toThrow(TypeError)
    await mirror.settle()
    expect(await pull(mirror)).toBe(BLOB.digest)
    expect(ranges()).toEqual([`bytes=${5 * MIB - 1}-`, undefined])
    await expectIntact(mirror, { retry: [PATH] })
  })

  it('begins anew where upstream has no such range', async () => {
    await leave(Buffer.alloc(9 * MIB))
    await using mirror = await start()
    expect(await pull(mirror)).toBe(BLOB.digest)
    expect(ranges()).toEqual([`bytes=${9 * MIB - 1}-`, undefined])
    await expectIntact(mirror)
  })

  it('goes on where upstream ignores ranges, without sending anything twice', async () => {
    await leave(BLOB.bytes.subarray(0, 5 * MIB))
    registry.inject({ kind: 'blob', action: { ignoreRange: true } })
    await using mirror = await start()
    expect(await pull(mirror)).toBe(BLOB.digest)
    expect(registry.count({ kind: 'blob' })).toBe(1)
    await expectIntact(mirror)
  })

  it('stays while upstream is down', async () => {
    await leave(BLOB.bytes.subarray(0, 5 * MIB))
    registry.inject({ kind: 'blob', action: { status: 403 } })
    const mirror = await start()
    expect((await mirror.fetch(PATH)).status).toBeGreaterThanOrEqual(400)
    await mirror.mirror.idle()
    expect(await mirror.spooled()).toEqual([BLOB.digest])
    registry.reset()
    await mirror.close()
    await using again = await start()
    expect(await pull(again)).toBe(BLOB.digest)
    expect(registry.bytesSent('blob')).toBeLessThan(4 * MIB)
    await expectIntact(again)
  })

  it('is not mixed with what another upstream sends', async () => {
    const path = await leave(BLOB.bytes.subarray(0, 5 * MIB), 'quay.io')
    await using mirror = await start()
    expect(await pull(mirror)).toBe(BLOB.digest)
    expect(ranges()).toEqual([undefined])
    expect(await readdir(join(dir.path, 'spool/quay.io'))).toEqual([BLOB.digest])
    const old = new Date(Date.now() - 2 * DAY)
    await utimes(path, old, old)
    await mirror.upkeep.tidy(AbortSignal.timeout(5_000))
    await expectIntact(mirror)
  })

  it('is kept for a day', async () => {
    const path = await leave(BLOB.bytes.subarray(0, 5 * MIB))
    await using mirror = await start()
    const { signal } = new AbortController()
    const touch = async (age: number) => {
      const at = new Date(Date.now() - age)
      await utimes(path, at, at)
    }
    await touch(DAY - 60_000)
    await mirror.upkeep.tidy(signal)
    expect(await mirror.spooled()).toEqual([BLOB.digest])
    await touch(DAY + 60_000)
    await mirror.upkeep.tidy(signal)
    expect(await mirror.spooled()).toEqual([])
  })

  it('goes on after a stop in order, too', async () => {
    const gate = registry.gate({ kind: 'blob', after: 4 * MIB })
    const before = await start()
    const pulling = pull(before).catch(() => 'cut')
    await gate.reached
    await expect.poll(() => spoolSize(dir.path)).toBeGreaterThan(3 * MIB)
    await before.close()
    expect(await pulling).toBe('cut')
    gate.open()
    await using mirror = await start()
    expect(await pull(mirror)).toBe(BLOB.digest)
    expect(ranges().at(-1)).toMatch(/^bytes=\d+-$/)
    await expectIntact(mirror, { retry: [PATH] })
  })
})

async function spoolSize(root: string): Promise<number> {
  return (await stat(join(root, 'spool/docker.io', BLOB.digest))).size
}
