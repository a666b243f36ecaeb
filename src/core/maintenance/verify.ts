import type { Digest } from '../../oci/digest.ts'
import { matchesStored } from '../matches-stored.ts'
import type { BlobStore, Clock, OpenBlob } from '../ports.ts'
import type { HeldBlob, Inventory, Owner, VerifyRun } from './inventory.ts'
import type { MirrorControl } from './mirror-control.ts'
import type { VerifyFinding, VerifyProgress, VerifyReport } from './reports.ts'

const PAGE = 64
const PROGRESS_MS = 250
/** Sleeps shorter than this are saved up. */
const SHORTEST_SLEEP_MS = 5
/** Whoever waits is told in between that it goes on: a silent connection is taken for a dead one. */
const LONGEST_SLEEP_MS = 1_000

export interface VerifyRequest {
  /** Only these, of which nothing is remembered; everything if absent. */
  readonly digests?: readonly Digest[]
  /** Download what is wrong again, at once. Else the next pull does it. */
  readonly repair: boolean
  /** Bytes per second that are read at most. */
  readonly rate?: number
  /** Begin at the first blob although a run was interrupted. */
  readonly restart: boolean
}

interface Deps {
  readonly store: BlobStore
  readonly inventory: Inventory
  readonly control: MirrorControl
  readonly clock: Clock
  readonly totals: () => Promise<{ readonly blobs: number; readonly bytes: number }>
}

/** Re-hashes what is stored. What is wrong is not served from then on, repaired or not. */
export class Verification {
  readonly #request: VerifyRequest
  readonly #deps: Deps
  readonly #onProgress: (progress: VerifyProgress) => void
  readonly #signal: AbortSignal
  readonly #findings: VerifyFinding[] = []
  readonly #startedAt: number
  #total = { blobs: 0, bytes: 0 }
  #blobs = 0
  /** Counted with those of the run that this one goes on with. */
  #bytes = 0
  /** Of this run, for the rate. */
  #read = 0
  #toldAt = 0

  constructor(
    request: VerifyRequest,
    deps: Deps,
    onProgress: (progress: VerifyProgress) => void,
    signal: AbortSignal,
  ) {
    this.#request = request
    this.#deps = deps
    this.#onProgress = onProgress
    this.#signal = signal
    this.#startedAt = deps.clock.now()
  }

  /** Rejects as the signal does; then the next run of everything goes on from there. */
  async run(): Promise<VerifyReport> {
    const { digests, restart } = this.#request
    const earlier =
      restart || digests !== undefined ? undefined : await this.#deps.inventory.verifyRun()
    this.#blobs = earlier?.blobs ?? 0
    this.#bytes = earlier?.bytes ?? 0
    await this.#recall(digests)
    if (digests === undefined) await this.#checkAll(earlier)
    else await this.#checkSome(digests)
    this.#tell(true)
    return {
      blobs: this.#blobs,
      bytes: this.#bytes,
      findings: this.#findings,
      ...(earlier && { resumedFrom: earlier.startedAt }),
    }
  }

  /** What has been set aside earlier and not been pulled since is as wrong as what is found now. */
  async #recall(digests: readonly Digest[] | undefined): Promise<void> {
    const { store, inventory } = this.#deps
    const wanted = digests && new Set(digests)
    for (const { digest } of await store.quarantined()) {
      this.#signal.throwIfAborted()
      if (wanted?.has(digest) === false || (await inventory.blob(digest)) !== undefined) continue
      const owners = await inventory.owners(digest)
      // Of an image that has been removed: `gc` is what it waits for.
      if (owners.length > 0) this.#findings.push(await this.#repair(digest, 'damaged', owners))
    }
  }

  async #checkAll(earlier: VerifyRun | undefined): Promise<void> {
    const { inventory, totals } = this.#deps
    this.#total = await totals()
    const startedAt = earlier?.startedAt ?? this.#startedAt
    let after = earlier?.after ?? ''
    for (;;) {
      const page = await inventory.blobs(after, PAGE)
      if (page.length === 0) break
      try {
        for (const blob of page) {
          await this.#check(blob)
          after = blob.digest
        }
      } finally {
        // On the way out of an interrupted page too: the work that was done is not done again.
        await inventory.saveVerifyRun({ after, startedAt, blobs: this.#blobs, bytes: this.#bytes })
      }
    }
    await inventory.saveVerifyRun(undefined)
  }

  async #checkSome(digests: readonly Digest[]): Promise<void> {
    const found = await Promise.all(digests.map((digest) => this.#deps.inventory.blob(digest)))
    const blobs = found.filter((blob) => blob !== undefined)
    const bytes = blobs.reduce((sum, { size }) => sum + size, 0)
    this.#total = { blobs: blobs.length, bytes }
    for (const blob of blobs) await this.#check(blob)
  }

  async #check({ digest, size }: HeldBlob): Promise<void> {
    this.#signal.throwIfAborted()
    const blob = await this.#deps.store.open(digest, size)
    const state = blob === undefined ? 'missing' : await this.#hash(blob, digest, size)
    // Evicted while we came here: then nothing is wrong with it.
    const isHere = state === 'right' || (await this.#deps.inventory.blob(digest)) !== undefined
    if (state !== 'right' && isHere) this.#findings.push(await this.#mend(digest, state))
    this.#blobs += 1
    this.#tell(false)
  }

  async #hash(blob: OpenBlob, digest: Digest, size: number): Promise<'right' | 'damaged'> {
    const pace = async (chunk: Uint8Array) => {
      this.#bytes += chunk.length
      this.#read += chunk.length
      this.#tell(false)
      await this.#pace()
    }
    try {
      const isRight = await matchesStored(blob, { digest, size }, pace, this.#signal)
      return isRight ? 'right' : 'damaged'
    } catch {
      // A bad sector is damage like any other; whoever stopped us wants to hear of that instead.
      this.#signal.throwIfAborted()
      return 'damaged'
    }
  }

  async #mend(digest: Digest, state: 'damaged' | 'missing'): Promise<VerifyFinding> {
    const { control, inventory } = this.#deps
    const owners = await inventory.owners(digest)
    if (state === 'damaged') await control.quarantine(digest)
    else await control.evict(digest)
    for (const { repository } of owners) control.forgetManifest(repository, digest)
    return this.#repair(digest, state, owners)
  }

  async #repair(
    digest: Digest,
    state: 'damaged' | 'missing',
    owners: readonly Owner[],
  ): Promise<VerifyFinding> {
    const { control, store } = this.#deps
    if (!this.#request.repair) {
      return { digest, state, repaired: false, reason: 'the next pull downloads it again' }
    }
    const reasons: string[] = []
    for (const { kind, repository } of owners) {
      try {
        if (await control.refetch(kind, repository, digest)) {
          await store.discardQuarantined(digest)
          return { digest, state, repaired: true }
        }
        reasons.push(`${repository.upstream} no longer has it in ${repository.name}`)
      } catch (reason) {
        // Told at the end; another repository's upstream may still have it.
        reasons.push(reason instanceof Error ? reason.message : String(reason))
      }
    }
    const reason = reasons.at(-1) ?? 'no repository is known that has it'
    return { digest, state, repaired: false, reason }
  }

  async #pace(): Promise<void> {
    const { rate } = this.#request
    if (rate === undefined) return
    const { clock } = this.#deps
    const readyAt = this.#startedAt + (this.#read / rate) * 1000
    for (;;) {
      this.#signal.throwIfAborted()
      const ahead = readyAt - clock.now()
      if (ahead < SHORTEST_SLEEP_MS) return
      await clock.sleep(Math.min(ahead, LONGEST_SLEEP_MS), this.#signal)
      this.#tell(false)
    }
  }

  #tell(isLast: boolean): void {
    const now = this.#deps.clock.now()
    if (!isLast && now - this.#toldAt < PROGRESS_MS) return
    this.#toldAt = now
    this.#onProgress({
      blobs: this.#blobs,
      bytes: this.#bytes,
      totalBlobs: this.#total.blobs,
      totalBytes: this.#total.bytes,
    })
  }
}
