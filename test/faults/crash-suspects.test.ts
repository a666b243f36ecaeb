import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { digestHex, digestOf } from '../../src/oci/digest.ts'
import type { Repository, UpstreamName } from '../../src/oci/reference.ts'
import type { DiskBlobStore } from '../../src/store/disk-blob-store.ts'
import type { Fs } from '../../src/store/fs.ts'
import { nodeFs } from '../../src/store/fs.ts'
import { blobPath, layoutOf } from '../../src/store/layout.ts'
import { ManualClock } from '../support/clock.ts'
import { FailingFs } from '../support/failing-fs.ts'
import { FakeRegistry } from '../support/fake-registry.ts'
import { buildBlob } from '../support/images.ts'
import { expectIntact } from '../support/oracle.ts'
import type { TempDir } from '../support/temp-dir.ts'
import { makeTempDir } from '../support/temp-dir.ts'
import type { TestMirrorOptions } from '../support/test-mirror.ts'
import { TestMirror } from '../support/test-mirror.ts'

const FIRST = buildBlob('one of two', 2_000_000)
const SECOND = buildBlob('the other', 2_000_000)
const pathOf = ({ digest }: typeof FIRST) => `/v2/library/app/blobs/${digest}`
const { signal } = new AbortController()

describe('blobs that are suspect after the machine went down', () => {
  let dir: TempDir
  let registry: FakeRegistry
  beforeEach(async () => {
    dir = await makeTempDir()
    registry = await FakeRegistry.start()
    for (const blob of [FIRST, SECOND]) registry.addBlob('library/app', blob)
    const mirror = await start({ boot: 'before' })
    for (const blob of [FIRST, SECOND]) await (await mirror.fetch(pathOf(blob))).arrayBuffer()
    await mirror.mirror.idle()
    await mirror.close()
    registry.reset()
  })
  afterEach(async () => {
    await registry.close()
    await dir.remove()
  })

  function start(options: Partial<TestMirrorOptions>): Promise<TestMirror> {
    return TestMirror.start({ upstreams: { 'docker.io': { registry } }, ...options }, dir)
  }

  it('keep a client waiting for 20 seconds at most, and are looked at to the end all the same', async () => {
    const clock = new ManualClock()
    const disk = new StallingFs()
    await using mirror = await start({ boot: 'after', clock, fs: disk.fs })
    const answer = mirror.fetch(pathOf(FIRST))
    await disk.stalled
    await clock.advance(20_000)
    const late = await answer
    expect(late.status).toBe(504)
    await late.arrayBuffer()
    disk.goOn()
    const again = await mirror.fetch(pathOf(FIRST))
    expect(digestOf(new Uint8Array(await again.arrayBuffer()))).toBe(FIRST.digest)
    // Once to be looked at, and once for each who asked.
    expect(disk.opened(digestHex(FIRST.digest))).toBe(3)
    expect(registry.count()).toBe(0)
    await expectIntact(mirror, { retry: [pathOf(FIRST)] })
  })

  it('do not keep a stop waiting, and stay suspect', async () => {
    const disk = new StallingFs()
    const mirror = await start({ boot: 'after', fs: disk.fs })
    const stopping = new AbortController()
    const sweeping = mirror.upkeep.setRight(stopping.signal)
    await disk.stalled
    const before = disk.reads
    stopping.abort()
    await sweeping
    const stopped = mirror.upkeep.stop()
    disk.goOn()
    await stopped
    // Eight reads are one blob: only the one that was under way has ended.
    expect(disk.reads).toBe(before)
    await mirror.close()
    const watched = new FailingFs()
    await using next = await start({ boot: 'after', fs: watched.fs })
    await next.upkeep.setRight(signal)
    const opened = watched.calls.filter(({ operation }) => operation === 'open')
    expect(opened).toHaveLength(2)
    await expectIntact(next, { retry: [pathOf(FIRST), pathOf(SECOND)] })
  })

  it('are read before they are called safe: what is damaged is not, nor after another start', async () => {
    const path = blobPath(layoutOf(dir.path), FIRST.digest)
    await chmod(path, 0o600)
    await writeFile(path, new Uint8Array(FIRST.size))
    const mirror = await start({ boot: 'after' })
    expect(await mirror.upkeep.sync.sync(FIRST.digest)).toBe(false)
    expect(await mirror.upkeep.sync.sync(SECOND.digest)).toBe(true)
    expect(await mirror.store.stat(FIRST.digest)).toBeUndefined()
    await mirror.close()
    await using next = await start({ boot: 'after' })
    const answer = await next.fetch(pathOf(FIRST))
    expect(digestOf(new Uint8Array(await answer.arrayBuffer()))).toBe(FIRST.digest)
    expect(registry.count()).toBe(1)
    await expectIntact(next, { retry: [pathOf(SECOND)] })
  })

  it('are looked at and swept although one of them cannot be opened, and that one again later', async () => {
    const disk = new FailingFs()
    const [early] = [FIRST.digest, SECOND.digest].toSorted()
    if (early === undefined) throw new Error('there are two')
    disk.fail({ operation: 'open', path: digestHex(early), times: 1, code: 'EACCES' })
    await using mirror = await start({ boot: 'after', fs: disk.fs })
    await expect(mirror.upkeep.setRight(signal)).rejects.toThrow('1 blobs could not be checked')
    const said = mirror.logs.map(({ message }) => message)
    expect(said).toContain('failed to check a blob after a crash of the machine')
    expect(said).toContain('swept the store')
    const opened = () => disk.calls.filter(({ operation }) => operation === 'open').length
    expect(opened()).toBe(2)
    await mirror.upkeep.setRight(signal)
    expect(opened()).toBe(3)
    await mirror.upkeep.setRight(signal)
    expect(opened()).toBe(3)
    await expectIntact(mirror, { retry: [pathOf(FIRST), pathOf(SECOND)] })
    expect(registry.count()).toBe(0)
  })
})

describe('a damaged blob that something else happens to meanwhile', () => {
  let dir: TempDir
  let registry: FakeRegistry
  beforeEach(async () => {
    dir = await makeTempDir()
    registry = await FakeRegistry.start()
    registry.addBlob('library/app', FIRST)
  })
  afterEach(async () => {
    await registry.close()
    await dir.remove()
  })

  const file = () => blobPath(layoutOf(dir.path), FIRST.digest)
  const start = (options: Partial<TestMirrorOptions>) =>
    TestMirror.start({ upstreams: { 'docker.io': { registry } }, ...options }, dir)

  async function damage(): Promise<void> {
    const mirror = await start({ boot: 'before' })
    await (await mirror.fetch(pathOf(FIRST))).arrayBuffer()
    await mirror.mirror.idle()
    await mirror.close()
    await chmod(file(), 0o600)
    await writeFile(file(), new Uint8Array(FIRST.size))
  }

  it('is fetched again over the top where it cannot be removed', async () => {
    await damage()
    const disk = new FailingFs()
    disk.fail({ operation: 'unlink', path: 'blobs', code: 'EIO' })
    await using mirror = await start({ boot: 'after', fs: disk.fs })
    await mirror.upkeep.setRight(signal)
    for (let n = 0; n < 2; n += 1) {
      const response = await mirror.fetch(pathOf(FIRST))
      expect(response.status).toBe(200)
      expect(digestOf(new Uint8Array(await response.arrayBuffer()))).toBe(FIRST.digest)
      await mirror.mirror.idle()
    }
    disk.heal()
    await expectIntact(mirror, { retry: [pathOf(FIRST)] })
  })

  it('stays where it was fetched again before it could be removed', async () => {
    await damage()
    const disk = new FailingFs()
    await using mirror = await start({ boot: 'after', fs: disk.fs })
    const store = mirror.store as DiskBlobStore
    const { promise: held, resolve: letGo } = Promise.withResolvers<void>()
    const holding = mirror.mirror.control.alone(FIRST.digest, async () => {
      await held
      const spool = await store.createSpool('docker.io' as UpstreamName, FIRST.digest, FIRST.size)
      await spool.write(FIRST.bytes)
      await store.adopt(await spool.finish())
    })
    const checking = mirror.upkeep.setRight(signal)
    await closedOnce(disk)
    expect((await readFile(file())).length).toBe(FIRST.size)
    letGo()
    await holding
    await checking
    expect(digestOf(await readFile(file()))).toBe(FIRST.digest)
    await expectIntact(mirror, { retry: [pathOf(FIRST)] })
  })

  it('is not put aside by the sweep where it has landed again by then', async () => {
    const path = file()
    await mkdir(dirname(path), { recursive: true })
    await writeFile(path, new Uint8Array(FIRST.size))
    const disk = new FailingFs()
    await using mirror = await start({ fs: disk.fs })
    const { promise: held, resolve: letGo } = Promise.withResolvers<void>()
    const repository = { upstream: 'docker.io', name: 'library/app' } as Repository
    const holding = mirror.mirror.control.alone(FIRST.digest, async () => {
      await held
      await writeFile(path, FIRST.bytes)
      await mirror.catalog.landed(repository, FIRST.digest, FIRST.size, 1)
    })
    const sweeping = mirror.upkeep.setRight(signal)
    await closedOnce(disk)
    letGo()
    await holding
    await sweeping
    expect(await mirror.store.stat(FIRST.digest)).toEqual({ size: FIRST.size })
    await expectIntact(mirror, { retry: [pathOf(FIRST)] })
    expect(registry.count()).toBe(0)
  })
})

/** The blob has been read, and whoever read it waits for its turn to act. */
async function closedOnce(disk: FailingFs): Promise<void> {
  const isClosed = () => disk.calls.some(({ operation }) => operation === 'file.close')
  await expect.poll(isClosed).toBe(true)
  for (let n = 0; n < 5; n += 1) await setImmediate()
}

/** Reads of stored blobs wait until they may go on. */
class StallingFs {
  readonly fs: Fs
  /** Resolves once a read waits. */
  readonly stalled: Promise<void>
  readonly goOn: () => void
  reads = 0
  readonly #opened: string[] = []

  constructor() {
    const stalled = Promise.withResolvers<void>()
    const goOn = Promise.withResolvers<void>()
    this.stalled = stalled.promise
    this.goOn = () => goOn.resolve()
    this.fs = {
      ...nodeFs,
      open: async (path, flags, mode) => {
        const file = await nodeFs.open(path, flags, mode)
        if (!path.includes('/blobs/')) return file
        this.#opened.push(path)
        return {
          writev: (...args) => file.writev(...args),
          stat: () => file.stat(),
          truncate: (length) => file.truncate(length),
          datasync: () => file.datasync(),
          close: () => file.close(),
          read: async (...args) => {
            this.reads += 1
            stalled.resolve()
            await goOn.promise
            return file.read(...args)
          },
        }
      },
    }
  }

  opened(name: string): number {
    return this.#opened.filter((path) => path.includes(name)).length
  }
}
