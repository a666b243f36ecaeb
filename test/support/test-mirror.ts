import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, vi } from 'vitest'
import type { TagPolicy } from '../../src/core/freshness.ts'
import type { Log } from '../../src/core/log.ts'
import type { MaintenanceApi } from '../../src/core/maintenance/maintenance-api.ts'
import { RequestCounts } from '../../src/core/maintenance/request-counts.ts'
import { Mirror } from '../../src/core/mirror.ts'
import { openAccess } from '../../src/core/open-access.ts'
import type { AccessPolicy } from '../../src/core/access-policy.ts'
import type { BlobStore, Catalog, Clock } from '../../src/core/ports.ts'
import type { QuotaLimits } from '../../src/core/room.ts'
import type { Operations } from '../../src/core/operations.ts'
import { systemClock } from '../../src/core/system-clock.ts'
import type { UpstreamEntry } from '../../src/core/upstream-entry.ts'
import { offlineUpstream } from '../../src/core/offline-upstream.ts'
import type { UpstreamMode } from '../../src/core/upstream-mode.ts'
import type { UpstreamEvent } from '../../src/core/upstream-state.ts'
import { compileAddressBook } from '../../src/http/address-book.ts'
import type { RequestRecord } from '../../src/http/exchange.ts'
import { createFront } from '../../src/http/front.ts'
import type { HttpServer } from '../../src/http/server.ts'
import { listen } from '../../src/http/server.ts'
import { WriteTurns } from '../../src/http/write-turns.ts'
import { logUpstream } from '../../src/observe/log-upstream.ts'
import type { UpstreamName } from '../../src/oci/reference.ts'
import { CachedCatalog } from '../../src/store/cached-catalog.ts'
import { openCatalog } from '../../src/store/catalog-recovery.ts'
import { DiskBlobStore } from '../../src/store/disk-blob-store.ts'
import type { Fs } from '../../src/store/fs.ts'
import { nodeFs } from '../../src/store/fs.ts'
import { layoutOf } from '../../src/store/layout.ts'
import type { Upkeep } from '../../src/store/upkeep.ts'
import { openUpkeep } from '../../src/store/upkeep.ts'
import { createOperations } from '../../src/wire-operations.ts'
import type { RegistryOptions, UpstreamDeps } from '../../src/upstream/options.ts'
import { openUpstream } from '../../src/upstream/registry-upstream.ts'
import type { FakeRegistry } from './fake-registry.ts'
import type { TempDir } from './temp-dir.ts'
import { makeTempDir } from './temp-dir.ts'

interface TestUpstream extends Partial<Omit<RegistryOptions, 'name'>> {
  readonly registry: FakeRegistry
  /** Its clock is the real one unless given: backoffs and open circuits take their time. */
  readonly deps?: Partial<UpstreamDeps>
  readonly tags?: Partial<TagPolicy>
  readonly aliases?: readonly string[]
  readonly hosts?: readonly string[]
  /** Default 'online'. Of an offline one the registry is never known. */
  readonly mode?: UpstreamMode
  /** Default false: most tests tell what one request does. */
  readonly prefetch?: boolean
}

export interface TestMirrorOptions {
  readonly upstreams: Readonly<Record<string, TestUpstream>>
  /** `null`: none. Default: the first upstream. */
  readonly defaultUpstream?: string | null
  readonly clock?: Clock
  readonly limits?: QuotaLimits
  readonly access?: AccessPolicy
  readonly fs?: Fs
  /** Which boot of the machine this is. Another one than before: it went down meanwhile. */
  readonly boot?: string
  readonly basePath?: string
  readonly names?: readonly string[]
  /** Default false. */
  readonly catalog?: boolean
}

const MINUTE = 60_000
const TAGS: TagPolicy = {
  ttl: 5 * MINUTE,
  patience: 2_000,
  staleWhileRevalidate: 0,
  staleIfError: 30 * 24 * 60 * MINUTE,
  authGrace: 60 * MINUTE,
  onGone: 'drop',
  isImmutable: () => false,
}

/** A log line as a test sees it. */
export interface LogLine {
  readonly level: string
  readonly message: string
  readonly fields: object
}

/**
 * The whole mirror, put together as `wire.ts` does, in this process: real disk, real sockets, and a
 * clock and registries that belong to the test.
 */
export class TestMirror {
  readonly mirror: Mirror
  readonly store: BlobStore
  readonly catalog: Catalog
  readonly operations: Operations
  /** Not started: a test that wants its chores runs them. */
  readonly upkeep: Upkeep
  readonly dir: string
  readonly records: RequestRecord[] = []
  /** Requests that have come, answered or not. */
  readonly arrivals: () => number
  readonly logs: LogLine[]
  /** Files of the store that are open now. */
  readonly openFiles: () => number
  readonly #server: HttpServer
  readonly #close: () => Promise<void>
  readonly #registries: readonly FakeRegistry[]

  private constructor(
    parts: Pick<
      TestMirror,
      | 'mirror'
      | 'store'
      | 'catalog'
      | 'operations'
      | 'upkeep'
      | 'dir'
      | 'records'
      | 'arrivals'
      | 'logs'
      | 'openFiles'
    >,
    server: HttpServer,
    registries: readonly FakeRegistry[],
    close: () => Promise<void>,
  ) {
    this.mirror = parts.mirror
    this.store = parts.store
    this.catalog = parts.catalog
    this.operations = parts.operations
    this.upkeep = parts.upkeep
    this.dir = parts.dir
    this.records = parts.records
    this.arrivals = parts.arrivals
    this.logs = parts.logs
    this.openFiles = parts.openFiles
    this.#server = server
    this.#registries = registries
    this.#close = close
  }

  get maintenance(): MaintenanceApi {
    return this.operations.maintenance
  }

  static async start(options: TestMirrorOptions, dir?: TempDir): Promise<TestMirror> {
    const { path, remove } = dir ?? (await makeTempDir())
    const logs: LogLine[] = []
    const log = recordingLog(logs)
    const clock = options.clock ?? systemClock
    const layout = layoutOf(path)
    const { catalog: sqlite } = await openCatalog({ layout, clock, log })
    const catalog = new CachedCatalog(sqlite)
    const files = countFiles(options.fs ?? nodeFs)
    const store = await DiskBlobStore.open(path, files.fs)
    const upstreams = openUpstreams(options, log)
    const mirror = new Mirror({
      upstreams,
      store,
      catalog,
      access: options.access ?? openAccess,
      limits: options.limits ?? { maxSize: undefined, minFree: { bytes: 0 } },
      clock,
      log,
    })
    await mirror.recover()
    const { control } = mirror
    const boot = options.boot ?? 'this boot'
    const kept = { layout, store, catalog: sqlite, boot, control, clock, log }
    const upkeep = openUpkeep({ ...kept, fs: files.fs })
    const counts = new RequestCounts(upstreams.keys(), clock.now())
    const operations = createOperations({
      store,
      catalog,
      inventory: sqlite.inventory((repository, tag) => catalog.forgetTag(repository, tag)),
      control: mirror.control,
      warmSource: mirror.warmSource,
      naming: bookOf(options),
      durability: {
        sync: (digest) => upkeep.sync.sync(digest),
        backup: () => upkeep.backup.run(),
      },
      upstreams,
      limits: options.limits ?? { maxSize: undefined, minFree: { bytes: 0 } },
      warmDefaults: { platforms: ['all'], referrers: true },
      counts,
      clock,
    })
    const records: RequestRecord[] = []
    let arrivals = 0
    const turns = new WriteTurns()
    const front = createFront({
      mirror,
      turns,
      book: bookOf(options),
      catalog: options.catalog ?? false,
      unready: async () => undefined,
      onArrival: () => (arrivals += 1),
      onRequest: (record) => {
        records.push(record)
        counts.add(record)
      },
    })
    const hooks = { onConnection: () => turns.hurry() }
    const server = await listen({ host: '127.0.0.1', port: 0 }, front, hooks)
    const close = async () => {
      await server.drain(0)
      await mirror.abort(new Error('the test is over'))
      await Promise.all([...upstreams.values()].map(({ client }) => client.close()))
      await sqlite.close()
      if (dir === undefined) await remove()
    }
    const registries = Object.values(options.upstreams).map(({ registry }) => registry)
    return new TestMirror(
      {
        mirror,
        store,
        catalog,
        operations,
        upkeep,
        dir: path,
        records,
        arrivals: () => arrivals,
        logs,
        openFiles: files.open,
      },
      server,
      registries,
      close,
    )
  }

  get port(): number {
    return this.#server.port
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`
  }

  fetch(path: string, init: RequestInit = {}): Promise<Response> {
    return fetch(`${this.url}${path}`, init)
  }

  head(path: string, headers: Record<string, string> = {}): Promise<Response> {
    return this.fetch(path, { method: 'HEAD', headers })
  }

  async spooled(): Promise<readonly string[]> {
    const entries = await readdir(join(this.dir, 'spool'), { recursive: true, withFileTypes: true })
    return entries.filter((entry) => entry.isFile()).map(({ name }) => name)
  }

  /** Every download has ended, and left nothing that is not stored. */
  async settle(): Promise<void> {
    await this.mirror.idle()
    // Manifests that nobody waited for are no flights, and land in their own time. Not `expect.poll`, which
    // works in tests only, and some settle in a hook.
    await vi.waitFor(async () => expect(await this.spooled()).toEqual([]), 8_000)
  }

  /** Stops it without any check, as a crash would, except that the files are closed. */
  async close(): Promise<void> {
    await this.#close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.mirror.idle()
    const spooled = await this.spooled()
    await this.#close()
    await expect.poll(() => this.openFiles()).toBe(0)
    await expect
      .poll(() => this.#registries.map((registry) => registry.openSockets()))
      .toEqual(this.#registries.map(() => 0))
    expect(spooled).toEqual([])
  }
}

function openUpstreams(options: TestMirrorOptions, log: Log): Map<UpstreamName, UpstreamEntry> {
  const entries = new Map<UpstreamName, UpstreamEntry>()
  for (const [text, upstream] of Object.entries(options.upstreams)) {
    const { registry, deps, tags, aliases: _, hosts: __, ...others } = upstream
    const { mode = 'online', prefetch = false, ...settings } = others
    const name = text as UpstreamName
    const registryOptions = {
      name,
      endpoints: [new URL(registry.url)],
      insecure: false,
      tokenRealms: [],
      redirectHosts: registry.hosts(),
      connections: 32,
      rateLimit: { reserve: 10 },
      ...settings,
    }
    const onEvent = (event: UpstreamEvent) => logUpstream(log, event)
    entries.set(name, {
      mode,
      ...(mode === 'offline'
        ? offlineUpstream(name)
        : openUpstream(registryOptions, { clock: systemClock, onEvent, ...deps })),
      tags: { ...TAGS, ...tags },
      isPublic: settings.credentials === undefined,
      prefetch,
    })
  }
  return entries
}

function bookOf(options: TestMirrorOptions) {
  const [first] = Object.keys(options.upstreams)
  const { defaultUpstream = first, names = [], basePath = '' } = options
  return compileAddressBook({
    upstreams: Object.entries(options.upstreams).map(([name, { aliases = [], hosts = [] }]) => ({
      name: name as UpstreamName,
      aliases,
      hosts,
    })),
    defaultUpstream: (defaultUpstream ?? undefined) as UpstreamName | undefined,
    names,
    publicUrl: undefined,
    basePath,
  })
}

function recordingLog(lines: LogLine[]): Log {
  const write = (level: string) => (fields: object, message: string) => {
    lines.push({ level, message, fields })
  }
  return { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') }
}

function countFiles(fs: Fs): { readonly fs: Fs; readonly open: () => number } {
  let count = 0
  const counting: Fs = {
    ...fs,
    async open(path, flags, mode) {
      const file = await fs.open(path, flags, mode)
      count += 1
      return {
        read: (...args) => file.read(...args),
        writev: (...args) => file.writev(...args),
        stat: () => file.stat(),
        truncate: (length) => file.truncate(length),
        datasync: () => file.datasync(),
        async close() {
          try {
            await file.close()
          } finally {
            // Linux gives the descriptor back even where close() reports an error.
            count -= 1
          }
        },
      }
    },
  }
  return { fs: counting, open: () => count }
}
