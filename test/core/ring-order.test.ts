import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { readParts } from '../support/byte-ranges.ts'
import { FailingFs } from '../support/failing-fs.ts'
import { FakeRegistry } from '../support/fake-registry.ts'
import { buildBlob } from '../support/images.ts'
import { expectIntact } from '../support/oracle.ts'
import { TestMirror } from '../support/test-mirror.ts'

const MIB = 1024 * 1024
const REPOSITORY = 'acme/app'

describe('several ranges of a blob that cannot be stored', () => {
  const large = buildBlob('ranges of a large one', 30 * MIB)
  const fitting = buildBlob('ranges of one that fits', 3 * MIB)
  const pathOf = ({ digest }: typeof large) => `/v2/${REPOSITORY}/blobs/${digest}`
  let registry: FakeRegistry
  let mirror: TestMirror
  let disk: FailingFs

  beforeEach(async () => {
    disk = new FailingFs()
    registry = await FakeRegistry.start()
    for (const blob of [large, fitting]) registry.addBlob(REPOSITORY, blob)
    mirror = await TestMirror.start({ upstreams: { 'docker.io': { registry } }, fs: disk.fs })
    disk.fail({ operation: 'open', path: '/spool/', code: 'ENOSPC' })
  })
  afterEach(async () => {
    await mirror[Symbol.asyncDispose]()
    await registry.close()
  })

  const ask = (blob: typeof large, range: string) =>
    mirror.fetch(pathOf(blob), { headers: { range } })

  async function expectParts(blob: typeof large, starts: readonly number[]): Promise<void> {
    const ranges = starts.map((start) => `${start}-${start + 99}`)
    const response = await ask(blob, `bytes=${ranges.join(',')}`)
    expect(response.status).toBe(206)
    const body = Buffer.from(await response.arrayBuffer())
    expect(readParts(response.headers.get('content-type'), body).map((part) => part.body)).toEqual(
      starts.map((start) => Buffer.from(blob.bytes.subarray(start, start + 100))),
    )
  }

  it.each([
    'bytes=20000000-20000099,0-99',
    'bytes=0-20000000,19999999-20000099',
    'bytes=-100,0-99',
  ])('are refused before the head if they go back: %s', async (range) => {
    const response = await ask(large, range)
    expect(response.status).toBe(503)
    expect(response.headers.get('retry-after')).toBe('30')
    expect(await response.json()).toMatchObject({
      errors: [{ code: 'UNAVAILABLE', detail: expect.stringContaining('in ascending order') }],
    })
    await mirror.settle()
    await expectParts(large, [0, 20_000_000])
    disk.heal()
    await expectParts(large, [20_000_000, 0])
    await expectIntact(mirror, { retry: [pathOf(large)] })
  })

  it('may go back where all of it fits into memory', async () => {
    await expectParts(fitting, [2_000_000, 0])
    disk.heal()
    await expectIntact(mirror, { retry: [pathOf(fitting)] })
  })
})
