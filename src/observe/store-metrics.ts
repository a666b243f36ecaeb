import type { Registry } from '@prometheus-io/client'
import { Counter, Gauge } from '@prometheus-io/client'
import type { DiskState } from '../core/disk-health.ts'

/** Looked at when somebody asks for the metrics. */
export interface WatchedStore {
  totals(): Promise<{ readonly bytes: number; readonly blobs: number }>
  space(): Promise<{ readonly total: number; readonly free: number }>
  /** Bytes; `undefined`: no limit. */
  readonly maxSize: number | undefined
}

/** How full the cache and its disk are, and what had to go. */
export class StoreMetrics {
  readonly #evictions: Counter
  readonly #evictedBytes: Counter
  #disk: (() => DiskState) | undefined

  constructor(registry: Registry, store: WatchedStore) {
    const registers = [registry]
    this.#evictions = new Counter({
      name: 'oci_mirror_cache_evictions_total',
      help: 'Blobs that made room for others.',
      registers,
    })
    this.#evictedBytes = new Counter({
      name: 'oci_mirror_cache_evicted_bytes_total',
      help: 'Bytes of blobs that made room for others.',
      registers,
    })
    addCacheGauges(registry, store)
    addDiskGauges(registry, store)
    addRefusals(registry, () => this.#disk?.())
  }

  /** From now on; before, the disk is taken to be in order. */
  watchDisk(state: () => DiskState): void {
    this.#disk = state
  }

  evicted(bytes: number): void {
    this.#evictions.inc()
    this.#evictedBytes.inc(bytes)
  }
}

function addCacheGauges(registry: Registry, store: WatchedStore): void {
  registry.registerMetric(
    new Gauge({
      name: 'oci_mirror_cache_blobs',
      help: 'Blobs stored, manifests among them.',
      registers: [],
      async collect() {
        this.set((await store.totals()).blobs)
      },
    }),
  )
  registry.registerMetric(
    new Gauge({
      name: 'oci_mirror_cache_bytes',
      help: 'Bytes stored.',
      registers: [],
      async collect() {
        this.set((await store.totals()).bytes)
      },
    }),
  )
  if (store.maxSize === undefined) return
  new Gauge({
    name: 'oci_mirror_cache_max_bytes',
    help: 'storage.maxSize; absent where that is not set.',
    registers: [registry],
  }).set(store.maxSize)
}

/** Each asks for itself: the library reads a gauge that asks nothing before another one has been told. */
function addDiskGauges(registry: Registry, store: WatchedStore): void {
  const of = async (field: 'total' | 'free') => {
    // A disk that fails is when the other metrics are needed most.
    const now = await store.space().catch(() => undefined)
    return now?.[field] ?? Number.NaN
  }
  registry.registerMetric(
    new Gauge({
      name: 'oci_mirror_disk_total_bytes',
      help: 'Size of the volume with the data directory; NaN: it cannot be read.',
      registers: [],
      async collect() {
        this.set(await of('total'))
      },
    }),
  )
  registry.registerMetric(
    new Gauge({
      name: 'oci_mirror_disk_free_bytes',
      help: 'What is free on that volume; NaN: it cannot be read.',
      registers: [],
      async collect() {
        this.set(await of('free'))
      },
    }),
  )
}

function addRefusals(registry: Registry, state: () => DiskState | undefined): void {
  registry.registerMetric(
    new Gauge({
      name: 'oci_mirror_disk_refusing',
      help: '1 while downloads are passed on without being stored, because the disk is full or broken.',
      labelNames: ['reason'],
      registers: [],
      collect() {
        const kind = state()?.kind
        for (const reason of ['full', 'broken']) this.set({ reason }, kind === reason ? 1 : 0)
      },
    }),
  )
}
