import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { readdir, readFile, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { FakeRegistry } from '../support/fake-registry.ts'
import type { Stock } from './stock.ts'
import { TAG } from './stock.ts'
import type { Tally } from './tally.ts'
import { rest } from './weather.ts'

const SAMPLE_MS = 500
const REBUILD_MS = 3_000

/** Looks at memory and disk until the signal aborts. */
export async function watch(
  { pid, data, quota, tally }: { pid: number; data: string; quota: number; tally: Tally },
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    tally.memory(await residentBytes(pid))
    tally.disk(await bytesBelow(data), quota)
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

/** Of blobs and downloads: what the quota counts. */
async function bytesBelow(data: string): Promise<number> {
  let total = 0
  for (const part of ['blobs', 'spool']) {
    for (const path of await filesBelow(join(data, part))) {
      // One that has just been evicted has no size any more.
      total += await stat(path).then(
        ({ size }) => size,
        () => 0,
      )
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

async function residentBytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  const [, kibibytes = ''] = /^VmRSS:\s+(\d+) kB$/m.exec(status) ?? []
  return Number(kibibytes) * 1024
}
