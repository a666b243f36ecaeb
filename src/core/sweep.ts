import type { Digest } from '../oci/digest.ts'
import type { Log } from './log.ts'
import type { Inventory } from './maintenance/inventory.ts'
import type { MirrorControl } from './maintenance/mirror-control.ts'
import { matchesStored } from './matches-stored.ts'
import type { BlobStore, Clock } from './ports.ts'

/** Files and rows looked at before others get a longer turn. */
const PAGE = 64
const PAUSE_MS = 5
/** Bytes hashed at a stretch; after it, a pause as long as it took. */
const STRETCH = 16 * 1024 * 1024

interface Deps {
  readonly store: Pick<BlobStore, 'list' | 'open' | 'stat'>
  readonly inventory: Pick<Inventory, 'blob' | 'blobs'>
  readonly control: Pick<MirrorControl, 'evict' | 'quarantine'>
  /** Adds a row for bytes that nobody has a link to. */
  readonly adopt: (digest: Digest, size: number, at: number) => Promise<void>
  readonly clock: Clock
  readonly log: Log
}

export interface SweepReport {
  readonly adopted: number
  readonly damaged: number
  readonly missing: number
}

/**
 * Makes files and rows agree again, while the mirror serves: files that the catalog does not know are
 * adopted if they are right, and rows without their file are dropped. Takes half a core at most, and stops
 * as soon as `signal` aborts.
 */
export async function sweep(deps: Deps, signal: AbortSignal): Promise<SweepReport> {
  const files = await sweepFiles(deps, signal)
  const missing = await sweepRows(deps, signal)
  const report = { ...files, missing }
  const isNews = report.adopted + report.damaged + report.missing > 0
  deps.log[isNews ? 'warn' : 'debug'](report, 'swept the store')
  return report
}

async function sweepFiles(
  deps: Deps,
  signal: AbortSignal,
): Promise<Pick<SweepReport, 'adopted' | 'damaged'>> {
  const { store, inventory, control, clock } = deps
  let seen = 0
  let adopted = 0
  let damaged = 0
  for await (const { digest, size } of store.list()) {
    if (signal.aborted) break
    seen += 1
    if (seen % PAGE === 0) await clock.sleep(PAUSE_MS, signal)
    if ((await inventory.blob(digest)) !== undefined) continue
    const state = await check(digest, size, deps, signal)
    // It may have landed while we were reading.
    if (state === 'unknown' || (await inventory.blob(digest)) !== undefined) continue
    if (state === 'right') {
      await deps.adopt(digest, size, clock.now())
      adopted += 1
    } else {
      await control.quarantine(digest, async () => {
        const isStray = (await inventory.blob(digest)) === undefined
        if (isStray) damaged += 1
        return isStray
      })
    }
  }
  return { adopted, damaged }
}

/** A row whose file is gone, or of another size: then the next pull fetches it again. */
async function sweepRows(deps: Deps, signal: AbortSignal): Promise<number> {
  const { store, inventory, control, clock } = deps
  let missing = 0
  for (let after = ''; !signal.aborted;) {
    const page = await inventory.blobs(after, PAGE)
    const last = page.at(-1)
    if (last === undefined) break
    for (const { digest, size } of page) {
      const found = await store.stat(digest)
      if (found?.size === size) continue
      // It may have been evicted, or have landed again, since the page was read.
      const row = await inventory.blob(digest)
      if (row === undefined || row.size === (await store.stat(digest))?.size) continue
      await control.evict(digest)
      missing += 1
    }
    after = last.digest
    await clock.sleep(PAUSE_MS, signal)
  }
  return missing
}

async function check(
  digest: Digest,
  size: number,
  { store, clock }: Deps,
  signal: AbortSignal,
): Promise<'right' | 'wrong' | 'unknown'> {
  const blob = await store.open(digest, size)
  if (blob === undefined) return 'unknown'
  let stretch = 0
  let began = clock.now()
  const pace = async (chunk: Uint8Array) => {
    stretch += chunk.length
    if (stretch < STRETCH) return
    await clock.sleep(clock.now() - began, signal)
    stretch = 0
    began = clock.now()
  }
  try {
    return (await matchesStored(blob, { digest, size }, pace, signal)) ? 'right' : 'wrong'
  } catch {
    // Stopped, or on a bad sector, which serving it would find as well: it stays as it is.
    return 'unknown'
  }
}
