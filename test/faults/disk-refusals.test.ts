import { createHash } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { digestOf } from '../../src/oci/digest.ts'
import { ManualClock } from '../support/clock.ts'
import type { FsFault } from '../support/failing-fs.ts'
import { FailingFs } from '../support/failing-fs.ts'
import { FakeRegistry } from '../support/fake-registry.ts'
import type { TestBlob } from '../support/images.ts'
import { buildBlob, buildImage } from '../support/images.ts'
import { expectIntact } from '../support/oracle.ts'
import { TestMirror } from '../support/test-mirror.ts'

const MIB = 1024 * 1024
const REPOSITORY = 'acme/app'

/** What a disk says that takes nothing more, for whatever reason. */
const CODES = ['ENOSPC', 'EDQUOT', 'EIO', 'EROFS', 'EMFILE', 'EACCES'] as const

describe('a disk that refuses', () => {
  const large = buildBlob('large', 20 * MIB)
  const small = buildBlob('small', 10_000)
  const pathOf = ({ digest }: Pick<TestBlob, 'digest'>) => `/v2/${REPOSITORY}/blobs/${digest}`
  let registry: FakeRegistry
  let mirror: TestMirror
  let disk: FailingFs
  let clock: ManualClock

  beforeEach(async () => {
    clock = new ManualClock()
    disk = new FailingFs()
    registry = await FakeRegistry.start()
    for (const blob of [large, small]) registry.addBlob(REPOSITORY, blob)
    mirror = await TestMirror.start({
      upstreams: { 'docker.io': { registry } },
      clock,
      fs: disk.fs,
    })
  })
  afterEach(async () => {
    disk.heal()
    await expectIntact(mirror, { retry: [pathOf(large), pathOf(small)] })
    await mirror[Symbol.asyncDispose]()
    await registry.close()
  })

  const fail = (fault: FsFault) => disk.fail({ path: '/spool/', ...fault })
  const downloads = () => registry.count({ kind: 'blob' })
  const isStored = async ({ digest }: TestBlob) => (await mirror.store.stat(digest)) !== undefined

  async function pull(blob: TestBlob): Promise<Response> {
    const response = await mirror.fetch(pathOf(blob))
    expect(response.status).toBe(200)
    expect(digestOf(new Uint8Array(await response.arrayBuffer()))).toBe(blob.digest)
    return response
  }

  /** With its head, or before that. */
  async function expectCut(blob: TestBlob): Promise<void> {
    const reading = mirror.fetch(pathOf(blob)).then((response) => response.arrayBuffer())
    await expect(reading).rejects.toThrow(/^(terminated|fetch failed)$/)
  }

  it.each(CODES)(
    'to open a file (%s) fails no pull, and what is pulled is not stored',
    async (code) => {
      fail({ operation: 'open', code })
      for (const blob of [small, large]) {
        const response = await pull(blob)
        expect(response.headers.get('cache-status')).toBe('oci-mirror; fwd=miss; detail=no-room')
        await mirror.settle()
        expect(await isStored(blob)).toBe(false)
      }
      expect(downloads()).toBe(2)
    },
  )

  it.each(CODES)('to make a directory (%s) fails no pull', async (code) => {
    fail({ operation: 'mkdir', code })
    await pull(small)
    await mirror.settle()
    expect(await isStored(small)).toBe(false)
  })

  it.each(CODES)('in the middle of a download (%s) is noticed by nobody', async (code) => {
    const gate = registry.gate({ kind: 'blob', after: 3 * MIB })
    const bodies = [pull(large), pull(large)]
    await gate.reached
    const failing = fail({ operation: 'file.writev', code, afterBytes: 1000 })
    gate.open()
    await Promise.all(bodies)
    await mirror.settle()
    expect(failing.hits).toBeGreaterThan(0)
    expect(await isStored(large)).toBe(false)
    expect(downloads()).toBe(1)
  })

  it('is asked once more after something was evicted, and then takes it', async () => {
    await pull(small)
    await mirror.settle()
    const gate = registry.gate({ kind: 'blob', after: 3 * MIB })
    const body = pull(large)
    await gate.reached
    fail({ operation: 'file.writev', code: 'ENOSPC', times: 1 })
    gate.open()
    await body
    await mirror.settle()
    expect(await isStored(small)).toBe(false)
    expect(await isStored(large)).toBe(true)
  })

  it('nothing is evicted for, where that would not help', async () => {
    await pull(small)
    await mirror.settle()
    fail({ operation: 'file.writev', code: 'EIO' })
    await pull(large)
    await mirror.settle()
    expect(await isStored(small)).toBe(true)
  })

  it('to give back what it took cuts who needs that, and leaves nothing behind', async () => {
    fail({ operation: 'file.read', code: 'EIO' })
    const gate = registry.gate({ kind: 'blob', after: 10 * MIB })
    const first = await mirror.fetch(pathOf(large))
    const writes = () => disk.calls.filter(({ operation }) => operation === 'file.writev').length
    // Of a mebibyte at most: the first of them have left memory.
    await expect.poll(writes).toBeGreaterThanOrEqual(10)
    await expectCut(large)
    gate.open()
    await first.body?.cancel()
    await mirror.settle()
    expect(mirror.openFiles()).toBe(0)
  })

  it('to write, and to give back what it took before, cuts only who comes after that', async () => {
    fail({ operation: 'file.writev', skip: 1, code: 'EIO' })
    const gate = registry.gate({ kind: 'blob', after: 5 * MIB })
    const early = await mirror.fetch(pathOf(large))
    const body = early.body?.getReader()
    const hash = createHash('sha256')
    const read = async (atLeast: number) => {
      for (let bytes = 0; bytes < atLeast;) {
        const next = await body?.read()
        if (next?.value === undefined) return
        hash.update(next.value)
        bytes += next.value.length
      }
    }
    await read(5 * MIB)
    fail({ operation: 'file.read', code: 'EIO' })
    await expectCut(large)
    gate.open()
    await read(Infinity)
    expect(`sha256:${hash.digest('hex')}`).toBe(large.digest)
    await mirror.settle()
    expect(await isStored(large)).toBe(false)
    expect([downloads(), mirror.openFiles()]).toEqual([1, 0])
  })

  it.each(CODES)('to move a file to its place (%s) fails no pull', async (code) => {
    const failing = fail({ operation: 'rename', code })
    await pull(large)
    await pull(small)
    await mirror.settle()
    expect(failing.hits).toBe(2)
    expect(await isStored(large)).toBe(false)
  })

  it('to tell how much room it has fails no pull', async () => {
    disk.fail({ operation: 'space', code: 'EIO' })
    await pull(large)
    await mirror.settle()
    expect(await isStored(large)).toBe(false)
  })

  it('a manifest fails no pull, and the manifest is answered from memory afterwards', async () => {
    const image = buildImage()
    registry.add(REPOSITORY, image, 'v1')
    fail({ operation: 'open', code: 'ENOSPC' })
    const path = `/v2/${REPOSITORY}/manifests/${image.manifest.digest}`
    const first = await mirror.fetch(path)
    expect(first.headers.get('cache-status')).toBe('oci-mirror; fwd=miss; detail=no-room')
    expect(digestOf(new Uint8Array(await first.arrayBuffer()))).toBe(image.manifest.digest)
    const tagged = await mirror.fetch(`/v2/${REPOSITORY}/manifests/v1`)
    expect(digestOf(new Uint8Array(await tagged.arrayBuffer()))).toBe(image.manifest.digest)
    await (await mirror.fetch(path)).arrayBuffer()
    expect(registry.count({ kind: 'manifest' })).toBe(2)
    expect(await isStored(image.manifest)).toBe(false)
  })

  it('says so once, and once when it takes downloads again, without a restart', async () => {
    const changes = () =>
      mirror.logs
        .filter(({ level }) => level === 'warn' || level === 'error')
        .map(({ message }) => message)
    fail({ operation: 'file.writev', code: 'ENOSPC' })
    for (const _ of [1, 2, 3]) {
      await pull(small)
      await mirror.settle()
    }
    expect(mirror.mirror.disk).toMatchObject({ kind: 'full', since: clock.now() })
    disk.heal()
    await pull(small)
    await mirror.settle()
    expect(mirror.mirror.disk).toEqual({ kind: 'ok' })
    expect(changes()).toEqual([
      'disk is full: passed downloads on without storing them',
      'disk took a download again',
    ])
    expect(await isStored(small)).toBe(true)
  })

  it('a wrong body is withheld as ever', async () => {
    fail({ operation: 'open', code: 'ENOSPC' })
    registry.inject({ kind: 'blob', times: 2, action: { corrupt: 'last' } })
    const response = await mirror.fetch(pathOf(large))
    expect(response.status).toBe(200)
    let bytes = 0
    const drain = async () => {
      for await (const chunk of response.body ?? []) bytes += chunk.length
    }
    await expect(drain()).rejects.toThrow('terminated')
    expect(bytes).toBe(large.size - 32 * 1024)
    expect((await mirror.fetch(pathOf(small))).status).toBe(502)
    await mirror.settle()
    registry.reset()
    await clock.advance(30_001)
  })

  it('a blob of unknown length is passed on too', async () => {
    fail({ operation: 'open', code: 'EROFS' })
    registry.inject({ kind: 'blob', action: { length: 'chunked' } })
    for (const blob of [large, small]) {
      await pull(blob)
      await mirror.settle()
      expect(await isStored(blob)).toBe(false)
    }
  })

  it('to be read (EIO) cuts one answer; the file is put aside and the next pull is a download', async () => {
    await pull(large)
    await mirror.settle()
    disk.fail({ operation: 'file.read', path: '/blobs/', times: 1, skip: 2, code: 'EIO' })
    const response = await mirror.fetch(pathOf(large))
    await expect(response.arrayBuffer()).rejects.toThrow('terminated')
    await expect.poll(() => isStored(large)).toBe(false)
    const again = await pull(large)
    expect(again.headers.get('cache-status')).toBe('oci-mirror; fwd=miss; stored')
    expect(downloads()).toBe(2)
  })
})
