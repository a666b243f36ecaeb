import { mkdir, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { describe, expect, it } from 'vitest'
import { blobPath, layoutOf } from '../../src/store/layout.ts'
import { CrashPoints } from '../support/crash-points.ts'
import type { FsCall, FsOperation } from '../support/failing-fs.ts'
import { FailingFs } from '../support/failing-fs.ts'
import { FakeRegistry } from '../support/fake-registry.ts'
import { buildBlob, buildImage } from '../support/images.ts'
import { expectIntact } from '../support/oracle.ts'
import { makeTempDir } from '../support/temp-dir.ts'
import type { TestMirrorOptions } from '../support/test-mirror.ts'
import { TestMirror } from '../support/test-mirror.ts'

const IMAGE = buildImage({ seed: 'every call', layers: 1 })
const OLD = buildBlob('goes when room is needed', 1_500_000)
const LARGE = buildBlob('needs room', 1_600_000)
/** In the store, and in no row of the catalog. */
const STRAY = buildBlob('unknown to the catalog', 10_000)
const LIMITS = { maxSize: 2_000_000, minFree: { bytes: 0 } }
const { signal } = new AbortController()

const TAG = '/v2/library/app/manifests/v1'
const blobOf = ({ digest }: { digest: string }) => `/v2/library/app/blobs/${digest}`
const SMALL = IMAGE.layers.map(blobOf)
const RETRY = [TAG, ...SMALL, blobOf(LARGE)]

async function startRegistry(): Promise<FakeRegistry> {
  const registry = await FakeRegistry.start()
  registry.add('library/app', IMAGE, 'v1')
  for (const blob of [OLD, LARGE, STRAY]) registry.addBlob('library/app', blob)
  return registry
}

type Options = Pick<TestMirrorOptions, 'fs'>

function start(registry: FakeRegistry, path: string, options: Options = {}): Promise<TestMirror> {
  const upstreams = { 'docker.io': { registry } }
  const dir = { path, remove: async () => {}, [Symbol.asyncDispose]: async () => {} }
  return TestMirror.start({ upstreams, limits: LIMITS, ...options }, dir)
}

interface Step {
  readonly name: string
  readonly run: (mirror: TestMirror) => Promise<void>
  /** Once it has run, these need no upstream any more. */
  readonly held?: readonly string[]
  /** From its beginning on, these may be gone. */
  readonly dropped?: readonly string[]
}

async function pull(mirror: TestMirror, ...paths: readonly string[]): Promise<void> {
  for (const path of paths) {
    const response = await mirror.fetch(path)
    // Some of these are cut short: what is asked here is what is left afterwards.
    await response.arrayBuffer().catch(() => undefined)
  }
  await mirror.mirror.idle()
}

/** Every way in which something gets onto the disk, or off it. */
const STEPS: readonly Step[] = [
  { name: 'land a large blob', run: (mirror) => pull(mirror, blobOf(OLD)), held: [blobOf(OLD)] },
  { name: 'land a manifest with its tag', run: (mirror) => pull(mirror, TAG), held: [TAG] },
  { name: 'land small blobs', run: (mirror) => pull(mirror, ...SMALL), held: SMALL },
  { name: 'sync', run: (mirror) => mirror.upkeep.sync.run(signal) },
  { name: 'back up', run: (mirror) => mirror.upkeep.backup.run() },
  {
    name: 'evict for room',
    run: (mirror) => pull(mirror, blobOf(LARGE)),
    held: [blobOf(LARGE)],
    dropped: [blobOf(OLD), TAG, ...SMALL],
  },
  {
    name: 'sweep',
    run: async (mirror) => {
      const path = blobPath(layoutOf(mirror.dir), STRAY.digest)
      await mkdir(dirname(path), { recursive: true })
      await writeFile(path, STRAY.bytes)
      await mirror.upkeep.setRight(signal)
    },
  },
  {
    name: 'put a damaged blob aside',
    run: async (mirror) => {
      await mirror.mirror.control.quarantine(LARGE.digest)
    },
    dropped: [blobOf(LARGE)],
  },
]

describe('every call to the file system', () => {
  it('may be the last one before a kill: what was held is held, and nothing is in between', async () => {
    await using registry = await startRegistry()
    await using dir = await makeTempDir()
    await using copies = await makeTempDir()
    const crashes = new CrashPoints(dir.path, copies.path)
    const mirror = await start(registry, dir.path, { fs: crashes.fs })
    const held = new Set<string>()
    const expected: (readonly string[])[] = []
    for (const { run, held: gained = [], dropped = [] } of STEPS) {
      for (const path of dropped) held.delete(path)
      const before = [...held]
      await run(mirror)
      while (expected.length < crashes.points.length) expected.push(before)
      for (const path of gained) held.add(path)
    }
    await mirror.close()
    expect(crashes.points.length).toBeGreaterThan(60)
    for (const [index, { name, path }] of crashes.points.entries()) {
      await expectBeforeOrAfter(registry, path, expected[index] ?? [], name)
    }
  }, 120_000)

  it.each<[string, readonly FsOperation[] | undefined]>([
    ['EIO', undefined],
    ['ENOSPC', ['open', 'mkdir', 'rename', 'file.writev', 'file.datasync']],
    ['EMFILE', ['open', 'list', 'space']],
  ])(
    'may fail with %s: nothing wrong is stored or served, and the next try succeeds',
    async (code, operations) => {
      await using registry = await startRegistry()
      const calls = await recordCalls(registry)
      expect(calls.length).toBeGreaterThan(60)
      for (const [n, { operation }] of calls.entries()) {
        if (operations !== undefined && !operations.includes(operation)) continue
        await using dir = await makeTempDir()
        const disk = new FailingFs()
        const mirror = await start(registry, dir.path, { fs: disk.fs })
        const before = disk.calls.length
        disk.fail({ skip: n, times: 1, code })
        await runAll(mirror)
        disk.heal()
        const failed = disk.calls[before + n]
        await mirror.upkeep.setRight(signal)
        await explain(`${code} at call ${n}, ${failed?.operation} ${failed?.path}`, () =>
          expectIntact(mirror, { retry: RETRY }),
        )
        await mirror.close()
      }
    },
    120_000,
  )
})

/** Each step tells its failure in its own way; what counts is what they leave behind. */
async function runAll(mirror: TestMirror): Promise<void> {
  for (const { run } of STEPS) await run(mirror).catch(() => undefined)
}

async function recordCalls(registry: FakeRegistry): Promise<readonly FsCall[]> {
  await using dir = await makeTempDir()
  const disk = new FailingFs()
  const mirror = await start(registry, dir.path, { fs: disk.fs })
  const before = disk.calls.length
  await runAll(mirror)
  await mirror.close()
  return disk.calls.slice(before)
}

async function expectBeforeOrAfter(
  registry: FakeRegistry,
  path: string,
  held: readonly string[],
  name: string,
): Promise<void> {
  await explain(name, async () => {
    const mirror = await start(registry, path)
    const down = registry.inject({ action: { status: 503 } })
    for (const one of held) {
      const response = await mirror.fetch(one)
      await response.arrayBuffer()
      expect([one, response.status]).toEqual([one, 200])
    }
    down.remove()
    await mirror.upkeep.setRight(signal)
    // What was under way is asked for again: then nothing of it is left lying about.
    await pull(mirror, blobOf(OLD), ...RETRY)
    await expectIntact(mirror, { retry: RETRY })
    await mirror.close()
  })
}

async function explain(name: string, check: () => Promise<void>): Promise<void> {
  try {
    await check()
  } catch (cause) {
    throw new Error(`after a crash ${name}: ${String(cause)}`, { cause })
  }
}
