import { chmod, rm, truncate, writeFile } from 'node:fs/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { digestOf } from '../../src/oci/digest.ts'
import { blobPath, layoutOf } from '../../src/store/layout.ts'
import { FailingFs } from '../support/failing-fs.ts'
import { FakeRegistry } from '../support/fake-registry.ts'
import { buildBlob } from '../support/images.ts'
import { expectIntact } from '../support/oracle.ts'
import type { TempDir } from '../support/temp-dir.ts'
import { makeTempDir } from '../support/temp-dir.ts'
import type { TestMirrorOptions } from '../support/test-mirror.ts'
import { TestMirror } from '../support/test-mirror.ts'

const EARLY = buildBlob('landed long ago', 2_000_000)
const LATE = buildBlob('landed a moment ago', 2_000_000)
const { signal } = new AbortController()

const pathOf = ({ digest }: typeof EARLY) => `/v2/library/app/blobs/${digest}`
const RETRY = { retry: [pathOf(EARLY), pathOf(LATE)] }

describe('after the machine went down', () => {
  let dir: TempDir
  let registry: FakeRegistry
  beforeEach(async () => {
    dir = await makeTempDir()
    registry = await FakeRegistry.start()
    for (const blob of [EARLY, LATE]) registry.addBlob('library/app', blob)
  })
  afterEach(async () => {
    await registry.close()
    await dir.remove()
  })

  function start(options: Partial<TestMirrorOptions> = {}): Promise<TestMirror> {
    return TestMirror.start({ upstreams: { 'docker.io': { registry } }, ...options }, dir)
  }

  async function pull(mirror: TestMirror, blob: typeof EARLY): Promise<string> {
    const response = await mirror.fetch(pathOf(blob))
    expect(response.status).toBe(200)
    return digestOf(new Uint8Array(await response.arrayBuffer()))
  }

  /** One blob that was synced, one that was not; then the end of the process. */
  async function fill(): Promise<void> {
    const mirror = await start()
    await pull(mirror, EARLY)
    await mirror.mirror.idle()
    await mirror.upkeep.sync.run(signal)
    await pull(mirror, LATE)
    await mirror.mirror.idle()
    await mirror.close()
    registry.reset()
  }

  /** The right length and the wrong content: what a file system may leave after a loss of power. */
  async function blank(blob: typeof EARLY): Promise<void> {
    const path = blobPath(layoutOf(dir.path), blob.digest)
    await chmod(path, 0o600)
    await truncate(path, 0)
    await truncate(path, blob.size)
  }

  it('looks at what was not synced before it serves it, and fetches it again if it is wrong', async () => {
    await fill()
    await blank(LATE)
    await using mirror = await start({ boot: 'the next boot' })
    expect(await pull(mirror, LATE)).toBe(LATE.digest)
    expect(await pull(mirror, EARLY)).toBe(EARLY.digest)
    expect(registry.count({ kind: 'blob' })).toBe(1)
    expect(mirror.logs.map(({ message }) => message)).toContain(
      'dropped a blob that a crash of the machine had damaged',
    )
    await expectIntact(mirror, RETRY)
  })

  it('serves what was not synced and is right', async () => {
    await fill()
    await using mirror = await start({ boot: 'the next boot' })
    const digests = await Promise.all([pull(mirror, LATE), pull(mirror, LATE)])
    expect(digests).toEqual([LATE.digest, LATE.digest])
    expect(registry.count()).toBe(0)
    await expectIntact(mirror)
  })

  it('remembers what is suspect until it was looked at, however many starts later', async () => {
    await fill()
    await blank(LATE)
    await (await start({ boot: 'the next boot' })).close()
    await using mirror = await start({ boot: 'the next boot' })
    expect(await pull(mirror, LATE)).toBe(LATE.digest)
    await expectIntact(mirror, RETRY)
  })

  it('looks at all of it by itself', async () => {
    await fill()
    await blank(LATE)
    await using mirror = await start({ boot: 'the next boot' })
    await mirror.upkeep.setRight(signal)
    expect(await mirror.store.stat(LATE.digest)).toBeUndefined()
    expect(await mirror.catalog.totals()).toEqual({ blobs: 1, bytes: EARLY.size })
    await expectIntact(mirror, RETRY)
  })

  it('believes no row of a restored backup', async () => {
    await fill()
    const first = await start()
    await first.upkeep.backup.run()
    await first.close()
    await blank(EARLY)
    for (const suffix of ['', '-wal', '-shm']) {
      await rm(`${layoutOf(dir.path).catalog}${suffix}`, { force: true })
    }
    await using mirror = await start({ boot: 'the next boot' })
    expect(await pull(mirror, EARLY)).toBe(EARLY.digest)
    expect(registry.count({ kind: 'blob' })).toBe(1)
    await expectIntact(mirror, RETRY)
  })

  it('serves at once what only a crash of the process left unsynced', async () => {
    await fill()
    const disk = new FailingFs()
    await using mirror = await start({ fs: disk.fs })
    await pull(mirror, LATE)
    expect(disk.calls.filter(({ operation }) => operation === 'open')).toHaveLength(1)
    expect(registry.count()).toBe(0)
    await expectIntact(mirror)
  })

  it('syncs each blob and its directories once', async () => {
    const disk = new FailingFs()
    await using mirror = await start({ fs: disk.fs })
    await pull(mirror, EARLY)
    await mirror.mirror.idle()
    const synced = () => disk.calls.filter(({ operation }) => operation === 'file.datasync')
    await mirror.upkeep.sync.run(signal)
    const { blobs } = layoutOf(dir.path)
    const path = blobPath(layoutOf(dir.path), EARLY.digest)
    const directory = path.slice(0, path.lastIndexOf('/'))
    const [file, ...directories] = synced().map((call) => call.path)
    expect(file).toBe(path)
    expect(directories.toSorted()).toEqual([blobs, `${blobs}/sha256`, directory])
    await mirror.upkeep.sync.run(signal)
    expect(synced()).toHaveLength(4)
    await expectIntact(mirror)
  })

  it.each(['EIO', 'ENOSPC', 'EDQUOT'])(
    'drops a blob whose sync fails with %s, and never syncs that file again',
    async (code) => {
      const disk = new FailingFs()
      await using mirror = await start({ fs: disk.fs })
      await pull(mirror, EARLY)
      await pull(mirror, LATE)
      await mirror.mirror.idle()
      const path = blobPath(layoutOf(dir.path), LATE.digest)
      const fault = disk.fail({ operation: 'file.datasync', path, times: 1, code })
      await mirror.upkeep.sync.run(signal)
      expect(fault.hits).toBe(1)
      expect(await mirror.store.stat(LATE.digest)).toBeUndefined()
      expect(await mirror.store.stat(EARLY.digest)).toBeDefined()
      await mirror.upkeep.sync.run(signal)
      expect(
        disk.calls.filter((call) => call.operation === 'file.datasync' && call.path === path),
      ).toHaveLength(1)
      await expectIntact(mirror, RETRY)
    },
  )

  it('counts a blob that lands again while it is being synced as not synced', async () => {
    const disk = new FailingFs()
    const { promise: landedAgain, resolve } = Promise.withResolvers<void>()
    let isFirst = true
    const slow = {
      ...disk.fs,
      open: async (...args: Parameters<typeof disk.fs.open>) => {
        const file = await disk.fs.open(...args)
        return Object.assign(Object.create(file) as typeof file, {
          read: file.read.bind(file),
          writev: file.writev.bind(file),
          stat: file.stat.bind(file),
          truncate: file.truncate.bind(file),
          close: file.close.bind(file),
          datasync: async () => {
            if (isFirst) {
              isFirst = false
              await landedAgain
            }
            await file.datasync()
          },
        })
      },
    }
    await using mirror = await start({ fs: slow })
    await pull(mirror, EARLY)
    await mirror.mirror.idle()
    const syncing = mirror.upkeep.sync.run(signal)
    await rm(blobPath(layoutOf(dir.path), EARLY.digest), { force: true })
    await pull(mirror, EARLY)
    await mirror.mirror.idle()
    resolve()
    await syncing
    const before = disk.calls.length
    await mirror.upkeep.sync.run(signal)
    const again = disk.calls.slice(before).filter(({ operation }) => operation === 'file.datasync')
    expect(again.map(({ path }) => path)).toContain(blobPath(layoutOf(dir.path), EARLY.digest))
    await expectIntact(mirror, { retry: [pathOf(EARLY)] })
  })

  it('has on disk what was asked to be there when that resolves', async () => {
    const before = await start()
    await pull(before, EARLY)
    await before.mirror.idle()
    expect(await before.upkeep.sync.sync(EARLY.digest)).toBe(true)
    expect(await before.upkeep.sync.sync(LATE.digest)).toBe(false)
    await before.close()
    const disk = new FailingFs()
    await using mirror = await start({ fs: disk.fs, boot: 'the next boot' })
    await pull(mirror, EARLY)
    expect(disk.calls.filter(({ operation }) => operation === 'open')).toHaveLength(1)
    await expectIntact(mirror)
  })
})

describe('files and rows that disagree', () => {
  let dir: TempDir
  let registry: FakeRegistry
  beforeEach(async () => {
    dir = await makeTempDir()
    registry = await FakeRegistry.start()
    for (const blob of [EARLY, LATE]) registry.addBlob('library/app', blob)
  })
  afterEach(async () => {
    await registry.close()
    await dir.remove()
  })

  const start = () => TestMirror.start({ upstreams: { 'docker.io': { registry } } }, dir)

  async function fill(): Promise<void> {
    const mirror = await start()
    for (const blob of [EARLY, LATE]) await (await mirror.fetch(pathOf(blob))).arrayBuffer()
    await mirror.mirror.idle()
    await mirror.close()
    registry.reset()
  }

  it('adopts right files that the catalog does not know, and serves them only on proof', async () => {
    await fill()
    await rm(layoutOf(dir.path).catalog)
    await using mirror = await start()
    expect(await mirror.catalog.totals()).toEqual({ blobs: 0, bytes: 0 })
    await mirror.upkeep.setRight(signal)
    expect(await mirror.catalog.totals()).toEqual({ blobs: 2, bytes: EARLY.size + LATE.size })
    expect((await mirror.fetch(`/v2/library/other/blobs/${EARLY.digest}`)).status).toBe(404)
    registry.reset()
    expect((await mirror.fetch(pathOf(EARLY))).status).toBe(200)
    expect(registry.bytesSent('blob')).toBe(1)
    await expectIntact(mirror, RETRY)
  })

  it('puts wrong files that the catalog does not know aside', async () => {
    await fill()
    await rm(layoutOf(dir.path).catalog)
    const path = blobPath(layoutOf(dir.path), LATE.digest)
    await chmod(path, 0o600)
    await writeFile(path, 'something else')
    await using mirror = await start()
    await mirror.upkeep.setRight(signal)
    expect(await mirror.catalog.totals()).toEqual({ blobs: 1, bytes: EARLY.size })
    expect(await mirror.store.stat(LATE.digest)).toBeUndefined()
    await expectIntact(mirror, RETRY)
  })

  it('drops rows whose file is gone or has another size', async () => {
    await fill()
    await rm(blobPath(layoutOf(dir.path), EARLY.digest), { force: true })
    const path = blobPath(layoutOf(dir.path), LATE.digest)
    await chmod(path, 0o600)
    await truncate(path, 0)
    await using mirror = await start()
    await mirror.upkeep.setRight(signal)
    expect(await mirror.catalog.totals()).toEqual({ blobs: 0, bytes: 0 })
    await expectIntact(mirror, RETRY)
  })

  it('leaves what agrees alone, and stops when it is told to', async () => {
    await fill()
    await using mirror = await start()
    await mirror.upkeep.setRight(signal)
    await mirror.upkeep.setRight(AbortSignal.abort())
    expect(await mirror.catalog.totals()).toEqual({ blobs: 2, bytes: EARLY.size + LATE.size })
    expect(mirror.logs.filter(({ level }) => level === 'warn')).toEqual([])
    await expectIntact(mirror, RETRY)
    expect(registry.count()).toBe(0)
  })
})
