import type { Chore } from '../core/chores.ts'
import { Chores } from '../core/chores.ts'
import type { Log } from '../core/log.ts'
import type { MirrorControl } from '../core/maintenance/mirror-control.ts'
import type { Clock } from '../core/ports.ts'
import { sweep } from '../core/sweep.ts'
import type { Digest } from '../oci/digest.ts'
import { BlobSync } from './blob-sync.ts'
import { CatalogBackup } from './catalog-backup.ts'
import type { DiskBlobStore } from './disk-blob-store.ts'
import type { Fs } from './fs.ts'
import { nodeFs } from './fs.ts'
import type { Layout } from './layout.ts'
import type { SqliteCatalog } from './sqlite-catalog.ts'

const SYNC_EVERY_MS = 30_000
const BACKUP_EVERY_MS = 10 * 60_000
const TIDY_EVERY_MS = 60 * 60_000
/** What a download left is kept for this long. */
const SPOOL_KEPT_MS = 24 * 60 * 60_000
/** The first second belongs to those who waited for the mirror. */
const SWEEP_AFTER_MS = 1_000
const SWEEP_AGAIN_MS = 10 * 60_000
/** A stop waits this long for the disk; what is not synced then is suspect after a loss of power. */
const LAST_SYNC_MS = 5_000

interface Deps {
  readonly layout: Layout
  readonly store: DiskBlobStore
  readonly catalog: SqliteCatalog
  /** Of the machine: `readBootId()`. */
  readonly boot: string | undefined
  readonly control: Pick<MirrorControl, 'evict' | 'quarantine' | 'alone'>
  readonly clock: Clock
  readonly log: Log
  readonly fs?: Fs
}

export interface Upkeep {
  /** For content that has to survive whatever comes: it is on disk once they have resolved. */
  readonly sync: BlobSync
  readonly backup: CatalogBackup
  /** Begins the work behind the requests; to be called once the mirror listens. */
  start(): void
  /**
   * What the first run after a start does: files and rows agree again. Throws, once it has done what it could,
   * where blobs are left that could not be looked at.
   */
  setRight(signal: AbortSignal): Promise<void>
  /** Removes what downloads left behind a day ago. */
  tidy(signal: AbortSignal): Promise<void>
  /** Ends it, and brings to disk what can be brought within seconds. */
  stop(): Promise<void>
}

/**
 * What keeps the store safe and in order behind the requests. Has to be opened before the first request, so
 * that nothing is served that a crash of the machine may have damaged.
 */
export function openUpkeep(deps: Deps): Upkeep {
  const { layout, store, catalog, boot, control, clock, log, fs = nodeFs } = deps
  const marks = catalog.durability
  const count = marks.enterBoot(boot)
  if (count > 0) log.warn({ blobs: count }, 'found blobs that the machine may have lost in a crash')
  const { alone } = control
  const onCleared = (digest: Digest) => marks.clear(digest)
  const suspects = store.distrust(marks.suspects(), { alone, log, onCleared })
  const drop = (digest: Digest) => control.evict(digest)
  let running: Chores | undefined
  const sync = new BlobSync({ layout, marks, drop, suspects, log, fs })
  const backup = new CatalogBackup(catalog, layout, fs, () => running !== undefined)
  const adopt = catalog.adopt.bind(catalog)
  // Reads only.
  const inventory = catalog.inventory(() => {})
  const setRight = async (signal: AbortSignal) => {
    const unread = await suspects.checkAll(signal)
    await sweep({ store, inventory, control, adopt, clock, log }, signal)
    if (unread > 0) throw new Error(`${unread} blobs could not be checked, and are not served`)
  }
  const tidy = (signal: AbortSignal) => store.removeStraySpools(clock.now() - SPOOL_KEPT_MS, signal)
  const chores: readonly Chore[] = [
    { name: 'sync', every: SYNC_EVERY_MS, run: (signal) => sync.run(signal) },
    { name: 'backup', every: BACKUP_EVERY_MS, run: () => backup.run() },
    { name: 'tidy', every: TIDY_EVERY_MS, run: tidy },
    { name: 'sweep', after: SWEEP_AFTER_MS, retry: SWEEP_AGAIN_MS, run: setRight },
  ]
  const atFirst = catalog.changes()
  return {
    sync,
    backup,
    setRight,
    tidy,
    start: () => {
      running ??= new Chores(chores, clock, log)
    },
    async stop() {
      await running?.stop()
      await suspects.stop()
      try {
        await sync.run(AbortSignal.timeout(LAST_SYNC_MS))
        // One command that changed nothing needs no backup.
        if (running !== undefined || catalog.changes() !== atFirst) await backup.run()
      } catch (error) {
        // What is missing is made good at the next start; the mirror has to stop all the same.
        log.error({ error }, 'failed to bring everything to disk before stopping')
      }
    },
  }
}
