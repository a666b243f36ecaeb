import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { digestOf } from '../../src/oci/digest.ts'
import type { Repository } from '../../src/oci/reference.ts'
import { ManualClock } from '../support/clock.ts'
import { failStatements } from '../support/failing-sqlite.ts'
import { FakeRegistry } from '../support/fake-registry.ts'
import type { TestBlob } from '../support/images.ts'
import { buildBlob, buildImage } from '../support/images.ts'
import { expectIntact } from '../support/oracle.ts'
import { TestMirror } from '../support/test-mirror.ts'

const REPOSITORY = 'acme/app'
const SIZE = 100_000
const TAG = `/v2/${REPOSITORY}/manifests/v1`
const LANDING = 'INSERT INTO blobs'
const TOMBSTONE = 'SET dead = 1'

describe('a catalog that takes no row', () => {
  const [a, b, c] = ['a', 'b', 'c'].map((seed) => buildBlob(seed, SIZE)) as [
    TestBlob,
    TestBlob,
    TestBlob,
  ]
  const image = buildImage({ layers: 1 })
  const pathOf = ({ digest }: Pick<TestBlob, 'digest'>, repository = REPOSITORY) =>
    `/v2/${repository}/blobs/${digest}`
  let registry: FakeRegistry
  let mirror: TestMirror
  let clock: ManualClock

  beforeEach(async () => {
    clock = new ManualClock()
    registry = await FakeRegistry.start()
    for (const blob of [a, b, c]) registry.addBlob(REPOSITORY, blob)
    registry.add(REPOSITORY, image, 'v1')
    const limits = { maxSize: 2.5 * SIZE, minFree: { bytes: 0 } }
    mirror = await TestMirror.start({ upstreams: { 'docker.io': { registry } }, clock, limits })
  })
  afterEach(async () => {
    await expectIntact(mirror, { retry: [pathOf(a), pathOf(b), pathOf(c), TAG] })
    await mirror[Symbol.asyncDispose]()
    await registry.close()
  })

  async function pull(path: string): Promise<Response> {
    await clock.advance(1000)
    const response = await mirror.fetch(path)
    expect(response.status).toBe(200)
    const bytes = new Uint8Array(await response.arrayBuffer())
    expect(digestOf(bytes)).toBe(response.headers.get('docker-content-digest'))
    await mirror.settle()
    return response
  }

  const stored = async () => {
    const files = await Array.fromAsync(mirror.store.list())
    return files.map(({ digest }) => digest).toSorted()
  }
  const loud = () =>
    mirror.logs
      .filter(({ level }) => level === 'warn' || level === 'error')
      .map(({ message }) => message)

  it.each(['SQLITE_FULL', 'SQLITE_IOERR_WRITE', 'SQLITE_READONLY'])(
    'of what has landed (%s) fails no pull, keeps no file, and is told once',
    async (code) => {
      {
        using failing = failStatements(LANDING, code)
        for (const path of [pathOf(a), pathOf(a), pathOf(b), TAG]) await pull(path)
        expect(failing.hits).toBe(4)
      }
      expect(await stored()).toEqual([])
      expect(loud()).toEqual([expect.stringMatching(/^disk (is full|refuses writes): /)])
      const kind = code === 'SQLITE_FULL' ? 'full' : 'broken'
      expect(mirror.mirror.disk).toMatchObject({ kind, reason: /disk takes no more/ })
      await pull(pathOf(a))
      expect(mirror.mirror.disk).toEqual({ kind: 'ok' })
    },
  )

  it('of a blob that is here already leaves that one as it is', async () => {
    await pull(pathOf(a))
    const repository = { upstream: 'docker.io', name: REPOSITORY } as Repository
    using _ = failStatements(LANDING)
    const refetched = mirror.mirror.control.refetch('blob', repository, a.digest)
    await expect(refetched).rejects.toThrow('takes no more')
    await mirror.settle()
    expect(await stored()).toEqual([a.digest])
    expect((await pull(pathOf(a))).headers.get('cache-status')).toBe('oci-mirror; hit')
  })

  it('of a tombstone keeps the file with its row, and passes on what has no room', async () => {
    for (const blob of [a, b]) await pull(pathOf(blob))
    const before = await stored()
    {
      using failing = failStatements(TOMBSTONE)
      const response = await pull(pathOf(c))
      expect(response.headers.get('cache-status')).toBe('oci-mirror; fwd=miss; detail=no-room')
      expect(failing.hits).toBe(1)
    }
    expect(await stored()).toEqual(before)
    await expectIntact(mirror)
    expect((await pull(pathOf(c))).headers.get('cache-status')).toContain('stored')
  })

  it('of a new repository gives its number to nobody else', async () => {
    registry.addBlob('acme/open', b)
    {
      using failing = failStatements('INSERT INTO links')
      await pull(pathOf(a))
      expect(failing.hits).toBe(1)
    }
    await pull(pathOf(b, 'acme/open'))
    await pull(pathOf(a))
    const stranger = await mirror.fetch(pathOf(a, 'acme/open'))
    expect(stranger.status).toBe(404)
    await stranger.arrayBuffer()
  })

  it('of a tag check fails no request, and is checked again only when it has expired', async () => {
    await pull(TAG)
    const heads = () => registry.count({ method: 'HEAD' })
    {
      using failing = failStatements('UPDATE tags')
      for (const _ of [1, 2]) {
        await clock.advance(5 * 60_000)
        const first = await pull(TAG)
        expect(first.headers.get('cache-status')).toContain('detail=revalidated')
        expect((await pull(TAG)).headers.get('cache-status')).toBe('oci-mirror; hit')
      }
      expect(failing.hits).toBe(2)
    }
    expect(heads()).toBe(2)
    expect(loud()).toEqual([expect.stringMatching(/^disk is full/)])
  })

  it('of a tag that has moved serves where it points now', async () => {
    await pull(TAG)
    const moved = buildImage({ seed: 'moved', layers: 1 })
    registry.add(REPOSITORY, moved, 'v1')
    await clock.advance(5 * 60_000)
    using failing = failStatements('INSERT INTO tags')
    for (const _ of [1, 2]) {
      const response = await pull(TAG)
      expect(response.headers.get('docker-content-digest')).toBe(moved.manifest.digest)
    }
    expect(failing.hits).toBe(1)
  })

  it('loses a tag that is gone is a 404 all the same', async () => {
    await pull(TAG)
    registry.inject({ kind: 'manifest', times: 1, action: { status: 404 } })
    await clock.advance(5 * 60_000)
    {
      using failing = failStatements('DELETE FROM tags')
      expect((await mirror.fetch(TAG)).status).toBe(404)
      expect(failing.hits).toBe(1)
    }
    await clock.advance(10_001)
  })

  it('of a proof counts the proof all the same', async () => {
    registry.addBlob('acme/other', a)
    await pull(pathOf(a))
    using failing = failStatements('INSERT INTO links')
    expect((await pull(pathOf(a, 'acme/other'))).headers.get('cache-status')).toContain('hit')
    expect(failing.hits).toBe(1)
  })
})
