import { dirname } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { blobPath, layoutOf } from '../../src/store/layout.ts'
import { FailingFs } from '../support/failing-fs.ts'
import { FakeRegistry } from '../support/fake-registry.ts'
import { buildBlob, buildImage } from '../support/images.ts'
import { expectIntact } from '../support/oracle.ts'
import { TestMirror } from '../support/test-mirror.ts'

const BLOB = buildBlob('kept', 2_000_000)
const PATH = `/v2/library/app/blobs/${BLOB.digest}`
const IMAGE = buildImage({ seed: 'pinned' })
const DIGESTS = [IMAGE.config.digest, ...IMAGE.layers.map(({ digest }) => digest)]
const { signal } = new AbortController()

describe('a sync that fails without a loss', () => {
  let registry: FakeRegistry
  beforeEach(async () => {
    registry = await FakeRegistry.start()
    registry.addBlob('library/app', BLOB)
    registry.add('library/app', IMAGE, '1')
  })
  afterEach(() => registry.close())

  async function start(disk: FailingFs): Promise<TestMirror> {
    const mirror = await TestMirror.start({
      upstreams: { 'docker.io': { registry } },
      fs: disk.fs,
    })
    await (await mirror.fetch(PATH)).arrayBuffer()
    await mirror.mirror.idle()
    registry.reset()
    return mirror
  }

  const told = (mirror: TestMirror) =>
    mirror.logs.filter(({ level }) => level === 'error').map(({ message }) => message)

  it.each(['EACCES', 'ENOMEM', 'EIO', 'ENOSPC', 'EMFILE'])(
    'keeps a blob whose file cannot be opened for it (%s), and syncs it later',
    async (code) => {
      const disk = new FailingFs()
      await using mirror = await start(disk)
      const path = blobPath(layoutOf(mirror.dir), BLOB.digest)
      const fault = disk.fail({ operation: 'open', path, code })
      await mirror.upkeep.sync.run(signal)
      await mirror.upkeep.sync.run(signal)
      expect(fault.hits).toBe(2)
      expect(await mirror.store.stat(BLOB.digest)).toEqual({ size: BLOB.size })
      expect(told(mirror)).toEqual(code === 'EMFILE' ? [] : ['failed to sync and will try again'])
      disk.heal()
      await mirror.upkeep.sync.run(signal)
      expect(disk.calls.filter(({ operation }) => operation === 'file.datasync')).toHaveLength(4)
      await expectIntact(mirror, { retry: [PATH] })
      expect(registry.count()).toBe(0)
    },
  )

  it.each(['open', 'file.datasync'] as const)(
    'keeps what is in a directory that cannot be synced (%s), and syncs it later',
    async (operation) => {
      const disk = new FailingFs()
      await using mirror = await start(disk)
      const directory = dirname(blobPath(layoutOf(mirror.dir), BLOB.digest))
      const fault = disk.fail({ operation, path: directory, skip: 1, times: 1, code: 'EIO' })
      await mirror.upkeep.sync.run(signal)
      expect(fault.hits).toBe(1)
      expect(await mirror.store.stat(BLOB.digest)).toEqual({ size: BLOB.size })
      const before = disk.calls.length
      await mirror.upkeep.sync.run(signal)
      expect(
        disk.calls.slice(before).filter(({ path }) => path === directory).length,
      ).toBeGreaterThan(0)
      await expectIntact(mirror, { retry: [PATH] })
      expect(registry.count()).toBe(0)
    },
  )

  it.each(['EINVAL', 'ENOSYS', 'ENOTSUP'])(
    'takes a directory for synced where the file system has no such sync (%s)',
    async (code) => {
      const disk = new FailingFs()
      await using mirror = await start(disk)
      disk.fail({ operation: 'file.datasync', path: 'blobs', skip: 1, code })
      expect(await mirror.upkeep.sync.sync(BLOB.digest)).toBe(true)
      const before = disk.calls.length
      await mirror.upkeep.sync.run(signal)
      expect(disk.calls.slice(before)).toEqual([])
      expect(told(mirror)).toEqual([])
      await expectIntact(mirror, { retry: [PATH] })
    },
  )

  it('brings what is asked for at the same time to disk together', async () => {
    const disk = new FailingFs()
    await using mirror = await start(disk)
    for (const digest of DIGESTS) {
      await (await mirror.fetch(`/v2/library/app/blobs/${digest}`)).arrayBuffer()
    }
    await mirror.mirror.idle()
    const before = disk.calls.length
    const all = [...DIGESTS, BLOB.digest]
    const asked = [...all, ...all].map((digest) => mirror.upkeep.sync.sync(digest))
    expect(new Set(await Promise.all(asked))).toEqual(new Set([true]))
    const synced = disk.calls
      .slice(before)
      .filter(({ operation }) => operation === 'file.datasync')
      .map(({ path }) => path)
    const layout = layoutOf(mirror.dir)
    // The first one goes alone; while the disk is busy with it, the others gather.
    for (const digest of all) {
      const times = synced.filter((path) => path === blobPath(layout, digest)).length
      expect(times).toBe(digest === all[0] ? 2 : 1)
    }
    expect(synced.filter((path) => path === layout.blobs)).toHaveLength(2)
    await expectIntact(mirror, { retry: [PATH] })
  })

  it('acknowledges no pin of what it cannot bring to disk, and loses nothing of it', async () => {
    const disk = new FailingFs()
    await using mirror = await start(disk)
    await (await mirror.fetch('/v2/library/app/manifests/1')).arrayBuffer()
    for (const digest of DIGESTS) {
      await (await mirror.fetch(`/v2/library/app/blobs/${digest}`)).arrayBuffer()
    }
    await mirror.mirror.idle()
    const before = await mirror.catalog.totals()
    disk.fail({ operation: 'open', path: 'blobs/sha256', code: 'EACCES' })
    const request = { references: ['library/app:1'], all: false }
    await expect(mirror.maintenance.pin(request)).rejects.toThrow(
      /app:1 is pinned, but \d+ of its blobs could not be brought to disk: see the log, and pin it again/,
    )
    disk.heal()
    expect(await mirror.catalog.totals()).toEqual(before)
    expect(await mirror.maintenance.pin(request)).toMatchObject({ images: [{ missingBlobs: 0 }] })
    await expectIntact(mirror, { retry: [PATH] })
  })
})
