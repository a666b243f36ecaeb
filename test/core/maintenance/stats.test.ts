import { expect, it } from 'vitest'
import { ManualClock } from '../../support/clock.ts'
import { FailingFs } from '../../support/failing-fs.ts'
import { FakeRegistry } from '../../support/fake-registry.ts'
import { buildBlob } from '../../support/images.ts'
import { expectIntact } from '../../support/oracle.ts'
import { TestMirror } from '../../support/test-mirror.ts'

const BLOB = buildBlob('stats', 10_000)
const PATH = `/v2/library/app/blobs/${BLOB.digest}`

it('statistics say that the disk takes nothing, since when and why, and when it does again', async () => {
  await using registry = await FakeRegistry.start()
  registry.addBlob('library/app', BLOB)
  const clock = new ManualClock()
  const disk = new FailingFs()
  const upstreams = { 'docker.io': { registry } }
  await using mirror = await TestMirror.start({ upstreams, clock, fs: disk.fs })
  const diskNow = async () => (await mirror.maintenance.stats()).activity?.disk
  const pull = async () => {
    await (await mirror.fetch(PATH)).arrayBuffer()
    await mirror.settle()
  }

  expect(await diskNow()).toEqual({ kind: 'ok' })
  const since = clock.now()
  disk.fail({ path: '/spool/', operation: 'open', code: 'EROFS' })
  await pull()
  await clock.advance(60_000)
  expect(await diskNow()).toEqual({ kind: 'broken', since, reason: expect.stringMatching(/EROFS/) })
  disk.heal()
  await pull()
  expect(await diskNow()).toEqual({ kind: 'ok' })
  await expectIntact(mirror, { retry: [PATH] })
})

it('statistics are given even where the volume cannot be read', async () => {
  await using registry = await FakeRegistry.start()
  const disk = new FailingFs()
  const upstreams = { 'docker.io': { registry } }
  const limits = { maxSize: 5000, minFree: { ratio: 0.1 } }
  await using mirror = await TestMirror.start({ upstreams, limits, fs: disk.fs })
  disk.fail({ operation: 'space', code: 'EIO' })
  expect(await mirror.maintenance.stats()).toMatchObject({
    stored: { blobs: 0, bytes: 0 },
    limits: { maxSize: 5000, minFree: null },
    volume: null,
  })
})
