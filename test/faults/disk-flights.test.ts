import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { digestOf } from '../../src/oci/digest.ts'
import type { Repository } from '../../src/oci/reference.ts'
import { ManualClock } from '../support/clock.ts'
import { FailingFs } from '../support/failing-fs.ts'
import { FakeRegistry } from '../support/fake-registry.ts'
import type { TestBlob } from '../support/images.ts'
import { buildBlob } from '../support/images.ts'
import { expectIntact } from '../support/oracle.ts'
import { RawExchange } from '../support/raw-request.ts'
import { TestMirror } from '../support/test-mirror.ts'

const MIB = 1024 * 1024
const REPOSITORY = 'acme/app'

/** Many downloads, or such that nobody waits for. */
describe('downloads', () => {
  const large = buildBlob('large', 40 * MIB)
  const pathOf = ({ digest }: Pick<TestBlob, 'digest'>) => `/v2/${REPOSITORY}/blobs/${digest}`
  let registry: FakeRegistry
  let mirror: TestMirror
  let disk: FailingFs
  let clock: ManualClock

  beforeEach(async () => {
    clock = new ManualClock()
    disk = new FailingFs()
    registry = await FakeRegistry.start()
    registry.addBlob(REPOSITORY, large)
  })
  afterEach(async () => {
    await mirror[Symbol.asyncDispose]()
    await registry.close()
  })

  async function start(connections = 32): Promise<void> {
    const upstreams = { 'docker.io': { registry, connections } }
    mirror = await TestMirror.start({ upstreams, clock, fs: disk.fs })
  }

  async function digestAt(path: string): Promise<string> {
    const response = await mirror.fetch(path)
    expect(response.status).toBe(200)
    return digestOf(new Uint8Array(await response.arrayBuffer()))
  }

  it('in memory wait for a stalled reader for half a minute, then go on for the others', async () => {
    await start()
    disk.fail({ operation: 'open', path: '/spool/', code: 'ENOSPC' })
    const stalled = await RawExchange.open({ port: mirror.port, target: pathOf(large) })
    await stalled.head()
    const other = digestAt(pathOf(large))
    await expect.poll(() => clock.sleeping()).toBeGreaterThan(0)
    await expect
      .poll(async () => {
        await clock.advance(10_000)
        return mirror.mirror.disk.kind === 'full' && registry.count({ kind: 'blob' })
      })
      .toBe(1)
    const timer = setInterval(() => void clock.advance(10_000), 20)
    expect(await other).toBe(large.digest)
    clearInterval(timer)
    expect(registry.count({ kind: 'blob' })).toBe(1)
    stalled.leave()
    disk.heal()
    await expectIntact(mirror, { retry: [pathOf(large)] })
  })

  it('in memory that have gone too far to be joined are started anew for who comes later', async () => {
    await start()
    disk.fail({ operation: 'open', path: '/spool/', code: 'ENOSPC' })
    const gate = registry.gate({ kind: 'blob', after: 20 * MIB })
    const first = digestAt(pathOf(large))
    await gate.reached
    const late = mirror.fetch(pathOf(large))
    await expect.poll(() => registry.count({ kind: 'blob' })).toBe(2)
    gate.open()
    expect(await first).toBe(large.digest)
    expect(digestOf(new Uint8Array(await (await late).arrayBuffer()))).toBe(large.digest)
    disk.heal()
    await expectIntact(mirror, { retry: [pathOf(large)] })
  })

  it('that nobody follows are stopped for others when all places are taken, and resumed later', async () => {
    await start(1)
    const gate = registry.gate({ kind: 'blob', after: 20 * MIB })
    const leaving = new AbortController()
    await mirror.fetch(pathOf(large), { signal: leaving.signal })
    await gate.reached
    leaving.abort()
    await expect.poll(() => mirror.records.length).toBe(1)
    const others = Array.from({ length: 260 }, (_, n) => buildBlob(`other-${n}`, 1000))
    for (const blob of others) registry.addBlob(REPOSITORY, blob)
    const pulls = others.map(async (blob) => (await mirror.fetch(pathOf(blob))).status)
    const statuses = await Promise.all(pulls)
    expect(statuses.filter((status) => status === 200).length).toBeGreaterThanOrEqual(257)
    gate.open()
    expect(await digestAt(pathOf(large))).toBe(large.digest)
    await expectIntact(mirror, { retry: [pathOf(large)] })
  })

  it('of ten thousand cold blobs at once are bounded: some land, the rest is told to come back', async () => {
    await start()
    const repository = { upstream: 'docker.io', name: REPOSITORY } as Repository
    const open = async (n: number): Promise<string> => {
      const digest = digestOf(Buffer.from(`cold ${n}`))
      const request = { repository, digest, ranges: undefined }
      try {
        const signal = new AbortController().signal
        const { blob } = await mirror.mirror.openBlob(request, { kind: 'anonymous' }, signal)
        await blob.close()
        return 'answered'
      } catch (reason) {
        return reason instanceof Error && 'code' in reason ? String(reason.code) : String(reason)
      }
    }
    let most = 0
    const watch = setInterval(() => (most = Math.max(most, registry.openSockets())), 5)
    const outcomes = await Promise.all(Array.from({ length: 10_000 }, (_, n) => open(n)))
    clearInterval(watch)
    const count = (outcome: string) => outcomes.filter((one) => one === outcome).length
    expect(count('UNAVAILABLE') + count('BLOB_UNKNOWN')).toBe(10_000)
    expect(count('UNAVAILABLE')).toBeGreaterThan(9_000)
    expect(most).toBeLessThanOrEqual(64)
    await expectIntact(mirror, { retry: [pathOf(large)] })
  })
})
