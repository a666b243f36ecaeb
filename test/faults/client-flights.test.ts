import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { digestOf } from '../../src/oci/digest.ts'
import { FailingFs } from '../support/failing-fs.ts'
import { FakeRegistry } from '../support/fake-registry.ts'
import type { TestBlob } from '../support/images.ts'
import { buildBlob } from '../support/images.ts'
import { expectIntact } from '../support/oracle.ts'
import { TestMirror } from '../support/test-mirror.ts'

const MIB = 1024 * 1024
const REPOSITORY = 'acme/app'
/** As many downloads as may run in memory at the same time. */
const RINGS = 16
/** As many as may be under way or wait at the same time, in all. */
const FLIGHTS = 1024

describe('clients of downloads', () => {
  const large = buildBlob('large', 3 * MIB)
  const pathOf = ({ digest }: Pick<TestBlob, 'digest'>) => `/v2/${REPOSITORY}/blobs/${digest}`
  let registry: FakeRegistry
  let other: FakeRegistry
  let disk: FailingFs
  let mirror: TestMirror

  beforeEach(async () => {
    disk = new FailingFs()
    registry = await FakeRegistry.start()
    other = await FakeRegistry.start()
    for (const one of [registry, other]) one.addBlob(REPOSITORY, large)
    const names = ['docker.io', 'b.test', 'c.test', 'd.test', 'e.test', 'f.test']
    const upstreams = Object.fromEntries(names.map((name) => [name, { registry }]))
    mirror = await TestMirror.start({
      upstreams: { ...upstreams, 'quay.io': { registry: other } },
      fs: disk.fs,
    })
  })
  afterEach(async () => {
    await expectIntact(mirror, { retry: [pathOf(large)] })
    await mirror[Symbol.asyncDispose]()
    await registry.close()
    await other.close()
  })

  async function pull(path: string): Promise<string> {
    const response = await mirror.fetch(path)
    expect(response.status).toBe(200)
    return digestOf(new Uint8Array(await response.arrayBuffer()))
  }

  it('who come back after all others have left join what is still running', async () => {
    const gate = registry.gate({ kind: 'blob', after: MIB })
    const leaving = new AbortController()
    const leavers = [1, 2].map(() => mirror.fetch(pathOf(large), { signal: leaving.signal }))
    await Promise.all(leavers)
    await gate.reached
    leaving.abort()
    await expect.poll(() => mirror.records.length).toBe(2)
    const back = await mirror.fetch(pathOf(large))
    expect(back.headers.get('cache-status')).toContain('collapsed')
    gate.open()
    expect(digestOf(new Uint8Array(await back.arrayBuffer()))).toBe(large.digest)
    expect(registry.count({ kind: 'blob' })).toBe(1)
  })

  it('of one upstream are not harmed when the same blob fails to come from another', async () => {
    const gate = registry.gate({ kind: 'blob', after: 2 * MIB })
    const right = pull(pathOf(large))
    await gate.reached
    other.inject({ kind: 'blob', action: { corrupt: 'last' } })
    const wrong = await mirror.fetch(`/v2/quay.io/${REPOSITORY}/blobs/${large.digest}`)
    await expect(wrong.arrayBuffer()).rejects.toThrow('terminated')
    await expect.poll(() => mirror.spooled()).toEqual([large.digest])
    gate.open()
    expect(await right).toBe(large.digest)
    await mirror.settle()
    expect((await mirror.store.stat(large.digest))?.size).toBe(large.size)
  })

  it('get the empty blob whole, whatever they ask of it', async () => {
    const empty = buildBlob('empty', 0)
    registry.addBlob(REPOSITORY, empty)
    const facts = async (init: RequestInit) => {
      const response = await mirror.fetch(pathOf(empty), init)
      const { length } = await response.arrayBuffer().then((body) => new Uint8Array(body))
      const { headers, status } = response
      return {
        status,
        length,
        range: headers.get('content-range'),
        size: headers.get('content-length'),
      }
    }
    const range = (value: string) => facts({ headers: { range: value } })
    const whole = { status: 200, length: 0, range: null, size: '0' }
    expect(await facts({ method: 'HEAD' })).toEqual(whole)
    for (const _ of ['cold', 'warm']) {
      expect(await facts({})).toEqual(whole)
      await mirror.settle()
      expect(await facts({ method: 'HEAD' })).toEqual(whole)
      for (const value of ['bytes=0-0', 'bytes=0-', 'bytes=-1']) {
        expect(await range(value)).toMatchObject({ status: 416, range: 'bytes */0' })
      }
    }
    expect((await mirror.store.stat(empty.digest))?.size).toBe(0)
  })

  it('get no more than a range of the empty blob that is cold, which is none', async () => {
    const empty = buildBlob('empty', 0)
    registry.addBlob(REPOSITORY, empty)
    const response = await mirror.fetch(pathOf(empty), { headers: { range: 'bytes=0-0' } })
    expect(response.status).toBe(416)
    expect(response.headers.get('content-range')).toBe('bytes */0')
    await response.arrayBuffer()
  })

  it('of a seventeenth download in memory are told to come back', async () => {
    disk.fail({ operation: 'open', path: '/spool/', code: 'ENOSPC' })
    const blobs = Array.from({ length: RINGS + 1 }, (_, n) => buildBlob(`ring ${n}`, 2 * MIB))
    for (const blob of blobs) registry.addBlob(REPOSITORY, blob)
    const held = Promise.withResolvers<void>()
    registry.inject({ kind: 'blob', action: { hold: { after: MIB, until: held.promise } } })
    const [last, ...first] = blobs.map(pathOf)
    const running = await Promise.all(first.map((path) => mirror.fetch(path)))
    const refused = await mirror.fetch(last ?? '')
    expect(refused.status).toBe(503)
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0)
    expect(await refused.json()).toMatchObject({
      errors: [{ code: 'UNAVAILABLE', detail: /16 downloads run in memory already/ }],
    })
    held.resolve()
    registry.reset()
    for (const response of running) {
      const digest = response.headers.get('docker-content-digest')
      expect(digestOf(new Uint8Array(await response.arrayBuffer()))).toBe(digest)
    }
    await mirror.settle()
    expect(await pull(last ?? '')).toBe(blobs[0]?.digest)
    disk.heal()
  })

  it('beyond the limit of downloads under way are told to come back, however many upstreams there are', async () => {
    const held = Promise.withResolvers<void>()
    registry.inject({ kind: 'blob', action: { until: held.promise } })
    const leaving = new AbortController()
    const names = ['docker.io', 'b.test', 'c.test', 'd.test', 'e.test', 'f.test']
    // Each upstream takes some hundred: connections, and those that wait for one.
    const waiting = Array.from({ length: FLIGHTS }, (_, n) => {
      const path = `/v2/${names[n % 6]}/${REPOSITORY}/blobs/${digestOf(Buffer.from(`cold ${n}`))}`
      return mirror.fetch(path, { signal: leaving.signal }).then(
        (response) => response.status,
        () => 'left',
      )
    })
    await expect.poll(() => mirror.mirror.control.flights(), { timeout: 8000 }).toBe(FLIGHTS)
    const refused = await mirror.fetch(pathOf(large))
    expect(refused.status).toBe(503)
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0)
    expect(await refused.json()).toMatchObject({
      errors: [{ code: 'UNAVAILABLE', detail: /1024 downloads are under way/ }],
    })
    held.resolve()
    expect(new Set(await Promise.all(waiting))).toEqual(new Set([404]))
    registry.reset()
  })
})
