import { chmod, mkdir, readdir, truncate, unlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import Database from 'better-sqlite3'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { VerifyImages } from '../../../src/core/maintenance/maintenance-api.ts'
import { GC_GRACE_MS } from '../../../src/core/maintenance/collect-garbage.ts'
import type { Digest } from '../../../src/oci/digest.ts'
import { ManualClock } from '../../support/clock.ts'
import { FakeRegistry } from '../../support/fake-registry.ts'
import type { TestBlob } from '../../support/images.ts'
import { buildBlob, buildImage } from '../../support/images.ts'
import { expectIntact } from '../../support/oracle.ts'
import { TestMirror } from '../../support/test-mirror.ts'
import { get, pull } from './pulled.ts'

const IMAGE = buildImage({ seed: 'app', layers: 3 })
const [FIRST, SECOND] = IMAGE.layers
const EVERYTHING = { references: [], repair: false, restart: false }

let registry: FakeRegistry
let mirror: TestMirror
let clock: ManualClock

beforeEach(async () => {
  clock = new ManualClock()
  registry = await FakeRegistry.start()
  registry.add('library/app', IMAGE, '1')
  mirror = await TestMirror.start({ upstreams: { 'docker.io': { registry } }, clock })
  await pull(mirror, 'library/app', '1', IMAGE)
})
afterEach(async () => {
  await mirror[Symbol.asyncDispose]()
  await registry.close()
})

function pathOf(digest: Digest): string {
  const [algorithm = '', hex = ''] = digest.split(':')
  return join(mirror.dir, 'blobs', algorithm, hex.slice(0, 2), hex)
}

/** As a disk does that forgets: the same size, other bytes. */
async function damage({ digest, size }: TestBlob): Promise<void> {
  await chmod(pathOf(digest), 0o640)
  await writeFile(pathOf(digest), buildBlob('damage', size).bytes)
}

const verify = (request: Partial<VerifyImages> = {}, signal = new AbortController().signal) =>
  mirror.maintenance.verify({ ...EVERYTHING, ...request }, () => {}, signal)
const quarantined = () => readdir(join(mirror.dir, 'quarantine')).catch(() => [])

function layer(blob: TestBlob | undefined): TestBlob {
  if (blob === undefined) throw new Error('the image has no such layer')
  return blob
}

describe('verify', () => {
  it('finds nothing wrong where nothing is, and asks upstream for nothing', async () => {
    const asked = registry.requests.length
    const bytes = [IMAGE.manifest, IMAGE.config, ...IMAGE.layers].reduce((n, b) => n + b.size, 0)
    expect(await verify()).toEqual({ blobs: 5, bytes, findings: [] })
    expect(registry.requests.length).toBe(asked)
  })

  it('puts damaged blobs aside, drops missing and short ones, and the next pull mends them', async () => {
    await damage(layer(FIRST))
    await unlink(pathOf(layer(SECOND).digest))
    await chmod(pathOf(IMAGE.config.digest), 0o640)
    await truncate(pathOf(IMAGE.config.digest), 3)
    const { findings } = await verify()
    expect(Object.fromEntries(findings.map(({ digest, state }) => [digest, state]))).toEqual({
      [layer(FIRST).digest]: 'damaged',
      [layer(SECOND).digest]: 'missing',
      [IMAGE.config.digest]: 'missing',
    })
    expect(findings.map(({ repaired }) => repaired)).toEqual([false, false, false])
    expect(await quarantined()).toEqual([layer(FIRST).digest])
    await expectIntact(mirror, { retry: [`/v2/library/app/blobs/${layer(FIRST).digest}`] })
    await pull(mirror, 'library/app', '1', IMAGE)
    expect((await verify()).findings).toEqual([])
  })

  it('repairs blobs and manifests from upstream at once, and keeps nothing of the damage', async () => {
    await damage(IMAGE.manifest)
    await damage(layer(FIRST))
    const { findings } = await verify({ repair: true })
    expect(findings.map(({ repaired }) => repaired)).toEqual([true, true])
    expect(await quarantined()).toEqual([])
    expect((await verify()).findings).toEqual([])
    await expectIntact(mirror, { retry: ['/v2/library/app/manifests/1'] })
  })

  it('repairs what an earlier run has set aside, and names it until then', async () => {
    await damage(layer(FIRST))
    await verify()
    const damaged = { digest: layer(FIRST).digest, state: 'damaged' }
    expect((await verify()).findings).toMatchObject([{ ...damaged, repaired: false }])
    const ofImage = await verify({ references: ['app:1'], repair: true })
    expect(ofImage.findings).toEqual([{ ...damaged, repaired: true }])
    expect(await quarantined()).toEqual([])
    expect(await verify()).toMatchObject({ blobs: 5, findings: [] })
    await expectIntact(mirror, { retry: [`/v2/library/app/blobs/${layer(FIRST).digest}`] })
  })

  it('says why it could not repair, and serves nothing of it', async () => {
    await damage(layer(FIRST))
    registry.inject({ kind: 'blob', action: { status: 503 } })
    const [finding] = (await verify({ repair: true })).findings
    expect(finding).toMatchObject({ digest: layer(FIRST).digest, repaired: false })
    expect(finding?.reason).toMatch(/503/)
    expect((await mirror.fetch(`/v2/library/app/blobs/${layer(FIRST).digest}`)).status).not.toBe(
      200,
    )
  })

  it('reads only the image that it is told, and damage elsewhere is left', async () => {
    const other = buildImage({ seed: 'other' })
    registry.add('library/other', other, '1')
    await pull(mirror, 'library/other', '1', other)
    await damage(other.config)
    expect(await verify({ references: ['app:1'] })).toMatchObject({ blobs: 5, findings: [] })
    expect((await verify({ references: ['other:1'] })).findings).toHaveLength(1)
  })

  it('goes on where it was stopped, unless it is told to begin again', async () => {
    const stop = new AbortController()
    const stopped = new Error('enough')
    // Half a byte of budget: the first chunk makes it sleep, and there it is stopped.
    const run = verify({ rate: 0.5 }, stop.signal)
    await expect.poll(() => clock.sleeping()).toBe(1)
    stop.abort(stopped)
    await expect(run).rejects.toBe(stopped)
    const began = clock.now()
    await clock.advance(1000)
    expect(await verify()).toMatchObject({ blobs: 5, resumedFrom: began })
    expect(await verify()).not.toHaveProperty('resumedFrom')
  })

  it('reads no faster than it may', async () => {
    const bytes = layer(FIRST).size
    const started = clock.now()
    const run = verify({ rate: 1_000 })
    const done = { yet: false }
    void run.then(() => (done.yet = true))
    while (!done.yet) await clock.advance(100)
    expect(clock.now() - started).toBeGreaterThan((3 * bytes * 1000) / 1_000)
    expect((await run).findings).toEqual([])
  })

  it('runs once at a time', async () => {
    const stop = new AbortController()
    const run = verify({ rate: 0.5 }, stop.signal)
    await expect.poll(() => clock.sleeping()).toBe(1)
    await expect(mirror.maintenance.gc(true)).rejects.toThrow(/`verify` is running/)
    stop.abort(new Error('enough'))
    await expect(run).rejects.toThrow('enough')
    expect((await mirror.maintenance.gc(true)).freed.blobs).toBe(0)
  })
})

/** A file with a row that nothing names, as there may be after a crash. */
async function addOrphan(): Promise<TestBlob> {
  const orphan = buildBlob('orphan', 1_000)
  await mkdir(dirname(pathOf(orphan.digest)), { recursive: true })
  await writeFile(pathOf(orphan.digest), orphan.bytes)
  const database = new Database(join(mirror.dir, 'catalog.db'))
  database
    .prepare('INSERT INTO blobs (digest, size, used_at) VALUES (?, ?, ?)')
    .run(orphan.digest, orphan.size, clock.now())
  database.close()
  return orphan
}

describe('gc', () => {
  it('removes what nothing names once it is an hour old, and what verify put aside', async () => {
    await damage(layer(FIRST))
    await verify()
    const { digest, size } = await addOrphan()
    expect((await mirror.maintenance.gc(true)).unreferenced).toEqual([])
    await clock.advance(GC_GRACE_MS + 1)
    const plan = await mirror.maintenance.gc(true)
    expect(plan).toMatchObject({
      unreferenced: [{ digest, size }],
      quarantined: [{ digest: layer(FIRST).digest, size: layer(FIRST).size }],
      freed: { blobs: 2, bytes: size + layer(FIRST).size },
    })
    expect(await quarantined()).toHaveLength(1)
    expect(await mirror.maintenance.gc(false)).toEqual({ ...plan, dryRun: false })
    expect(await quarantined()).toEqual([])
    expect((await mirror.maintenance.blobs({})).items.map((blob) => blob.digest)).not.toContain(
      digest,
    )
    await expectIntact(mirror, { retry: ['/v2/library/app/manifests/1'] })
  })

  it('leaves what was downloaded for a repository, however long ago', async () => {
    await mirror.maintenance.remove({ references: ['app:1'], all: false, dryRun: true })
    const loose = buildBlob('loose', 1_000)
    registry.addBlob('library/x', loose)
    await get(mirror, `/v2/library/x/blobs/${loose.digest}`)
    await mirror.settle()
    await clock.advance(100 * GC_GRACE_MS)
    expect((await mirror.maintenance.gc(false)).freed).toEqual({ blobs: 0, bytes: 0 })
    expect((await mirror.maintenance.blobs({})).items).toHaveLength(6)
  })
})
