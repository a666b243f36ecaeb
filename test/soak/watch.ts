import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { readdir, readFile, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { FakeRegistry } from '../support/fake-registry.ts'
import type { Stock } from './stock.ts'
import { TAG } from './stock.ts'
import type { Memory, Tally } from './tally.ts'
import { rest } from './weather.ts'

const SAMPLE_MS = 500
const REBUILD_MS = 3_000
const LOOKS = 4

interface Watched {
  readonly pid: number
  /** Of the admin listener. */
  readonly adminUrl: string
  readonly data: string
  readonly quota: number
  readonly tally: Tally
}

/** Looks at memory and disk until the signal aborts. */
export async function watch(watched: Watched, signal: AbortSignal): Promise<void> {
  const { pid, adminUrl, data, quota, tally } = watched
  while (!signal.aborted) {
    const memory = await memoryOf(pid, adminUrl)
    if (memory !== undefined) tally.memory(memory)
    tally.disk(await bytesOnDisk(data, quota), quota)
    await rest(SAMPLE_MS, signal)
  }
}

/** Moves a tag now and then, as a build does. */
export async function rebuild(
  registry: FakeRegistry,
  { shelves }: Stock,
  signal: AbortSignal,
): Promise<void> {
  for (let n = 0; !signal.aborted; n += 1) {
    const shelf = shelves[n % shelves.length]
    const image = shelf?.images[Math.floor(n / shelves.length) % 2]
    if (shelf !== undefined && image !== undefined) {
      registry.setTag(shelf.repository, TAG, image.manifest.digest)
    }
    await rest(REBUILD_MS, signal)
  }
}

/** Names of files that hold other bytes than they promise. */
export async function wrongFiles(data: string): Promise<readonly string[]> {
  const wrong: string[] = []
  for (const path of await filesBelow(join(data, 'blobs'))) {
    const hash = createHash('sha256')
    for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer)
    if (hash.digest('hex') !== basename(path)) wrong.push(path)
  }
  return wrong
}

/**
 * Of blobs and downloads: what the quota counts. Files come and go while they are looked at, so that what has
 * been evicted may be counted beside what took its room: only what several looks agree on is too much.
 */
async function bytesOnDisk(data: string, quota: number): Promise<number> {
  let least = Infinity
  for (let look = 0; look < LOOKS && least > quota; look += 1) {
    least = Math.min(least, await bytesBelow(data))
  }
  return least
}

async function bytesBelow(data: string): Promise<number> {
  let total = 0
  const seen = new Set<number>()
  for (const part of ['spool', 'blobs']) {
    for (const path of await filesBelow(join(data, part))) {
      // One that has just been evicted has no size any more.
      const found = await stat(path).catch(() => undefined)
      // What has landed meanwhile is the same file in another place.
      if (found === undefined || seen.has(found.ino)) continue
      seen.add(found.ino)
      total += found.size
    }
  }
  return total
}

async function filesBelow(path: string): Promise<readonly string[]> {
  const entries = await readdir(path, { recursive: true, withFileTypes: true })
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
}

/** `undefined` for a process that has ended. */
async function memoryOf(pid: number, adminUrl: string): Promise<Memory | undefined> {
  try {
    const status = await readFile(`/proc/${pid}/status`, 'utf8')
    const metrics = await (await fetch(`${adminUrl}/metrics`)).text()
    return {
      resident: readNumber(/^VmRSS:\s+(\S+) kB$/m, status) * 1024,
      heap: readNumber(/^nodejs_heap_size_used_bytes (\S+)$/m, metrics),
      external: readNumber(/^nodejs_external_memory_bytes (\S+)$/m, metrics),
    }
  } catch {
    // Whoever started it says that it has ended, and why.
    return undefined
  }
}

function readNumber(pattern: RegExp, text: string): number {
  return Number(pattern.exec(text)?.[1])
}
