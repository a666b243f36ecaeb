import { createHash } from 'node:crypto'
import { mkdir, rename, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import Database from 'better-sqlite3'
import { digestHex, digestOf } from '../../src/oci/digest.ts'
import { layoutOf } from '../../src/store/layout.ts'
import { fileExists } from '../../test/e2e/support/install-step.ts'
import { fillStore } from '../../test/torture/fill-store.ts'

interface StoreRequest {
  /** The peer's, as in `PeerPlace`. */
  readonly dir: string
  /** The same for all peers: what two of them read alike is made once. */
  readonly shared: string
  readonly blobs: number
}

/** Whether it is known how the peer lays out its store. */
export function knowsStoreOf(peer: string): boolean {
  return MAKERS.has(peer)
}

/** Makes a store that looks as if so many blobs had been pulled through the peer, before it is started. */
export async function makeFullStore(peer: string, request: StoreRequest): Promise<void> {
  await MAKERS.get(peer)?.(request)
}

const MAKERS: ReadonlyMap<string, (request: StoreRequest) => Promise<void>> = new Map([
  ['oci-mirror', ({ dir, blobs }) => fillOurs(join(dir, 'data'), blobs)],
  ['distribution-2', linkDistribution],
  ['distribution-3', linkDistribution],
  ['nginx', ({ dir, blobs }) => fillCache(join(dir, 'cache'), blobs)],
])

const BATCH = 500
const REPOSITORY = 'bench/full'
/** In milliseconds. As long as distribution keeps what it has mirrored. */
const LIFETIME = 7 * 24 * 60 * 60 * 1000

/** Half a minute after it was pulled all of it is known to be on disk; else a start would read it to find out. */
async function fillOurs(root: string, blobs: number): Promise<void> {
  await fillStore(root, blobs)
  const database = new Database(layoutOf(root).catalog)
  database.exec('UPDATE blobs SET durability = 1')
  database.close()
}

/** Releases 2 and 3 have the same layout, and run one after another. */
async function linkDistribution({ dir, shared, blobs }: StoreRequest): Promise<void> {
  const storage = join(shared, 'distribution-storage')
  if (!(await fileExists(storage))) {
    await fillDistribution(`${storage}-half`, blobs)
    await rename(`${storage}-half`, storage)
  }
  await symlink(storage, join(dir, 'storage'))
}

/**
 * ```
 * docker/registry/v2/blobs/sha256/ab/<hex>/data
 * docker/registry/v2/repositories/<name>/_layers/sha256/<hex>/link
 * scheduler-state.json     when each of them expires; read, and a timer set for each, at every start
 * ```
 */
async function fillDistribution(root: string, blobs: number): Promise<void> {
  const base = join(root, 'docker/registry/v2')
  const schedule: Record<string, object> = {}
  await eachNumber(blobs, async (n) => {
    const content = `blob ${n}`
    const digest = digestOf(Buffer.from(content))
    const hex = digestHex(digest)
    const layer = join(base, 'repositories', REPOSITORY, '_layers/sha256', hex, 'link')
    await write(join(base, 'blobs/sha256', hex.slice(0, 2), hex, 'data'), content)
    await write(layer, digest)
    const key = `${REPOSITORY}@${digest}`
    const ExpiryData = new Date(Date.now() + LIFETIME).toISOString()
    schedule[key] = { Key: key, ExpiryData, EntryType: 0 }
  })
  await writeFile(join(root, 'scheduler-state.json'), JSON.stringify(schedule))
}

/** Of nginx's own head of a file: what is shorter is removed when it is found. */
const CACHED_BYTES = 1024

/** `levels=1:2`: the last character, then the two before it. Only the names and sizes are read at the start. */
async function fillCache(root: string, files: number): Promise<void> {
  const bytes = Buffer.alloc(CACHED_BYTES)
  await eachNumber(files, async (n) => {
    const name = createHash('md5').update(`/v2/${REPOSITORY}/blobs/${n}`).digest('hex')
    await write(join(root, name.slice(-1), name.slice(-3, -1), name), bytes)
  })
}

async function write(path: string, content: string | Uint8Array): Promise<void> {
  await mkdir(dirname(path), { recursive: true })
  await writeFile(path, content)
}

async function eachNumber(count: number, work: (n: number) => Promise<void>): Promise<void> {
  for (let first = 0; first < count; first += BATCH) {
    const numbers = Array.from({ length: Math.min(BATCH, count - first) }, (_, n) => first + n)
    await Promise.all(numbers.map(work))
  }
}
