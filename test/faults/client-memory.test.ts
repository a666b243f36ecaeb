import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { MirrorProgram } from '../e2e/support/mirror-program.ts'
import { startMirror } from '../e2e/support/mirror-program.ts'
import { parseExposition, seriesOf } from '../observe/exposition.ts'
import { FakeRegistry } from '../support/fake-registry.ts'
import { buildBlob, buildHugeBlob } from '../support/images.ts'
import { expectTrueNames, expectTrueRows } from '../support/oracle.ts'
import { RawExchange } from '../support/raw-request.ts'
import type { TempDir } from '../support/temp-dir.ts'
import { makeTempDir } from '../support/temp-dir.ts'

const MIB = 1024 * 1024
const READERS = 20
const MAX_GROWTH = READERS * 3 * MIB
/** Bytes in all, as many at a time as a fast reader takes. */
const HUGE = 256 * MIB

/** Readers that stop in the middle: they hold their place, and next to no memory of ours. */
describe('twenty readers of one large blob that take nothing any more', () => {
  const huge = buildHugeBlob('stalled readers', HUGE)
  const small = buildBlob('stalled readers', 8 * MIB)
  let dir: TempDir
  let registry: FakeRegistry
  let mirror: MirrorProgram

  beforeAll(async () => {
    dir = await makeTempDir()
    registry = await FakeRegistry.start()
    registry.addBlob('library/app', huge)
    registry.addBlob('library/app', small)
    const config = { upstreams: { 'docker.io': { url: registry.url } } }
    mirror = await startMirror({ dir: dir.path, config })
    // What a process needs once, it has now.
    for (let n = 0; n < 3; n += 1) await take(small.digest)
  })
  afterAll(async () => {
    await mirror?.stop()
    await expectTrueNames(`${dir.path}/data`)
    await expectTrueRows(`${dir.path}/data`)
    await registry?.close()
    await dir?.remove()
  })

  async function take(digest: string): Promise<void> {
    const response = await fetch(`${mirror.url}/v2/library/app/blobs/${digest}`)
    expect(response.status).toBe(200)
    const hash = createHash('sha256')
    for await (const chunk of response.body ?? []) hash.update(chunk as Uint8Array)
    expect(`sha256:${hash.digest('hex')}`).toBe(digest)
  }

  /** Bytes that are resident now: what a peak has touched and given back does not count. */
  async function resident(): Promise<number> {
    const status = await readFile(`/proc/${mirror.program.pid}/status`, 'utf8')
    const [, kibibytes = ''] = /^VmRSS:\s+(\d+) kB$/m.exec(status) ?? []
    return Number(kibibytes) * 1024
  }

  async function stallMany(): Promise<readonly RawExchange[]> {
    const target = `/v2/library/app/blobs/${huge.digest}`
    const open = () => RawExchange.open({ port: mirror.port, target })
    const readers = await Promise.all(Array.from({ length: READERS }, open))
    await Promise.all(readers.map((reader) => reader.read(1)))
    return readers
  }

  it.each(['cold', 'warm'])(
    'cost less than 3 MiB each, and slow nobody down: %s',
    async () => {
      const before = await resident()
      const readers = await stallMany()
      await take(huge.digest)
      await sleep(1_000)
      const growth = (await resident()) - before
      expect(growth).toBeLessThan(MAX_GROWTH)
      for (const reader of readers) reader.leave()
      expect(registry.count({ reference: huge.digest })).toBe(1)
    },
    60_000,
  )

  it('are in the metrics, beside what upstream was asked for', async () => {
    const response = await fetch(`${mirror.adminUrl}/metrics`)
    expect(response.headers.get('content-type')).toMatch(/^text\/plain; ?version=0\.0\.4/)
    const families = parseExposition(await response.text())
    const upstream = 'docker.io'
    const valueOf = (name: string, labels: Readonly<Record<string, string>>) =>
      families
        .get(name)
        ?.samples.find((sample) => seriesOf(name, sample.labels) === seriesOf(name, labels))?.value
    const blob = { upstream, kind: 'blob' }
    expect(valueOf('oci_mirror_upstream_bytes_total', blob)).toBe(huge.size + small.size)
    expect(valueOf('oci_mirror_flights_total', { upstream, result: 'landed' })).toBe(2)
    expect(valueOf('oci_mirror_requests_total', { ...blob, outcome: 'miss' })).toBe(2)
    const code = { ...blob, code: '200' }
    expect(valueOf('oci_mirror_upstream_requests_total', code)).toBe(2)
    expect(valueOf('oci_mirror_cut_answers_total', { ...blob, by: 'client' })).toBe(2 * READERS)
    expect(valueOf('oci_mirror_cut_answers_total', { ...blob, by: 'mirror' })).toBe(0)
    expect(valueOf('oci_mirror_cache_blobs', {})).toBe(2)
    expect(valueOf('oci_mirror_cache_bytes', {})).toBe(huge.size + small.size)
    expect((await fetch(`${mirror.url}/metrics`)).status).toBe(404)
  })
})
