import { existsSync } from 'node:fs'
import { hostname } from 'node:os'
import type { Config } from './config/config.ts'
import { findFault } from './core/find-fault.ts'
import { JobBoard } from './core/maintenance/job-board.ts'
import { RequestCounts } from './core/maintenance/request-counts.ts'
import { Mirror } from './core/mirror.ts'
import { openAccess } from './core/open-access.ts'
import type { Operations } from './core/operations.ts'
import { packageVersion } from './core/package-version.ts'
import type { BlobStore } from './core/ports.ts'
import { StartError } from './core/start-error.ts'
import { systemClock } from './core/system-clock.ts'
import type { AddressBook } from './http/address-book.ts'
import { compileAddressBook } from './http/address-book.ts'
import { createAdmin } from './http/admin.ts'
import { createFront } from './http/front.ts'
import type { HttpServer } from './http/server.ts'
import { ADMIN_LIMITS, listen } from './http/server.ts'
import { WriteTurns } from './http/write-turns.ts'
import type { Logger, LoggerOptions } from './observe/logger.ts'
import { createLogger } from './observe/logger.ts'
import type { Metrics } from './observe/metrics.ts'
import { createMetrics } from './observe/metrics.ts'
import { RequestLog } from './observe/request-log.ts'
import type { Digest } from './oci/digest.ts'
import { readBootId } from './store/boot-id.ts'
import { CachedCatalog } from './store/cached-catalog.ts'
import { openCatalog } from './store/catalog-recovery.ts'
import { openDataDirectory } from './store/data-directory.ts'
import { layoutOf } from './store/layout.ts'
import { DiskBlobStore } from './store/disk-blob-store.ts'
import type { SqliteCatalog } from './store/sqlite-catalog.ts'
import type { Upkeep } from './store/upkeep.ts'
import { openUpkeep } from './store/upkeep.ts'
import { startJobs } from './wire-jobs.ts'
import { createOperations } from './wire-operations.ts'
import { openUpstreams } from './wire-upstreams.ts'

/** Answers under way get this long when the mirror stops; Kubernetes kills after 30 s. */
const DRAIN_MS = 25_000

export interface RunningMirror {
  /** Where it listens: `http://127.0.0.1:5000`, with the base path. */
  readonly url: string
  /** Of the admin listener, if there is one. */
  readonly adminUrl: string | undefined
  readonly logger: Logger
  /** Stops accepting, lets answers under way finish (at most 25 s), and closes everything in order. */
  drain(): Promise<void>
}

/** A data directory that no running mirror has. */
export interface OpenOperations {
  readonly operations: Operations
  close(): Promise<void>
}

/** Everything that has to be undone, in the reverse order of its making. */
type Undo = () => void | Promise<void>

/**
 * Turns a configuration into a running mirror: the only place that knows which implementation stands
 * behind which port. Throws StartError.
 */
export async function startMirror(config: Config): Promise<RunningMirror> {
  const undo: Undo[] = []
  try {
    return await serve(await build(config, createLogger(config.log), undo), undo)
  } catch (reason) {
    await unwind(undo)
    throw reason
  }
}

/**
 * The same without its listeners, for one command. Throws StartError, also where there is nothing yet and
 * nothing will come.
 */
export async function openOperations(
  config: Config,
  purpose: 'looking' | 'filling' = 'looking',
): Promise<OpenOperations> {
  const { dir } = config.storage
  if (purpose === 'looking' && !existsSync(layoutOf(dir).format)) {
    const hint = 'start the mirror once, or name its configuration (-c) or directory (storage.dir)'
    throw new StartError(`there is no data directory of oci-mirror at ${dir}: ${hint}`)
  }
  const undo: Undo[] = []
  try {
    // The command's own words go to standard output; only what went wrong is worth a line besides them.
    const log = { level: 'error', format: 'pretty' } as const
    const core = await build(config, createLogger({ ...log, ...standardError() }), undo)
    core.catalog.spareMemory()
    return { operations: core.operate(undefined), close: () => unwind(undo) }
  } catch (reason) {
    await unwind(undo)
    throw reason
  }
}

function standardError(): Pick<LoggerOptions, 'destination' | 'isTerminal'> {
  return { destination: process.stderr, isTerminal: process.stderr.isTTY }
}

/** What there is only where a mirror runs. */
interface Running {
  readonly counts: RequestCounts
  readonly jobs: JobBoard
}

/** Everything but what listens. */
interface Core {
  readonly config: Config
  readonly logger: Logger
  readonly metrics: Metrics
  readonly book: AddressBook
  readonly catalog: SqliteCatalog
  readonly store: BlobStore
  readonly mirror: Mirror
  readonly upkeep: Upkeep
  operate(running: Running | undefined): Operations
}

async function build(config: Config, logger: Logger, undo: Undo[]): Promise<Core> {
  const directory = openDataDirectory(config.storage.dir)
  const { layout } = directory
  undo.push(() => directory.release())
  const { catalog: sqlite } = await openCatalog({ layout, clock: systemClock, log: logger })
  undo.push(() => sqlite.close())
  const catalog = new CachedCatalog(sqlite)
  const store = await DiskBlobStore.open(layout.root)
  const { maxSize, minFree } = config.storage
  const metrics = createMetrics({
    version: packageVersion(),
    upstreams: [...config.upstreams.keys()],
    store: { totals: () => catalog.totals(), space: () => store.space(), maxSize },
  })
  const upstreams = openUpstreams(config, logger, metrics)
  undo.push(async () => {
    await Promise.all([...upstreams.values()].map(({ client }) => client.close()))
  })
  const limits = { maxSize, minFree }
  const mirror = new Mirror({
    upstreams,
    store,
    catalog,
    access: openAccess,
    limits,
    clock: systemClock,
    log: logger,
    events: metrics.events,
  })
  metrics.watchDisk(() => mirror.disk)
  await mirror.recover()
  const upkeep = openUpkeep({
    layout,
    store,
    catalog: sqlite,
    boot: readBootId(),
    control: mirror.control,
    clock: systemClock,
    log: logger,
  })
  undo.push(() => upkeep.stop())
  undo.push(() => mirror.abort(new Error('the mirror is stopping')))
  const book = bookOf(config)
  const inventory = sqlite.inventory((repository, tag) => catalog.forgetTag(repository, tag))
  const { control, warmSource } = mirror
  const durability = {
    sync: (digest: Digest) => upkeep.sync.sync(digest),
    backup: () => upkeep.backup.run(),
  }
  const held = { store, catalog, inventory, upstreams, limits, durability }
  const how = { naming: book, warmDefaults: config.warm, clock: systemClock }
  const operate = (running: Running | undefined) =>
    createOperations({ ...held, ...how, control, warmSource, counts: undefined, ...running })
  return { config, logger, metrics, book, catalog: sqlite, store, mirror, upkeep, operate }
}

function bookOf({ server, upstreams, defaultUpstream }: Config): AddressBook {
  const { names, publicUrl, basePath } = server
  return compileAddressBook({
    upstreams: upstreams.values(),
    defaultUpstream,
    names,
    publicUrl,
    basePath,
  })
}

async function serve(core: Core, undo: Undo[]): Promise<RunningMirror> {
  const { config, mirror, book, store, logger, metrics } = core
  let isDraining = false
  const { listen: address, basePath, catalog } = config.server
  const counts = new RequestCounts(config.upstreams.keys(), systemClock.now())
  const jobs = new JobBoard(config.warm.jobs)
  const operations = core.operate({ counts, jobs })
  metrics.watchJobs(() => jobs.report())
  const requestLog = new RequestLog(logger)
  const admin = await listenAdmin(core, operations)
  const turns = new WriteTurns()
  const front = createFront({
    mirror,
    turns,
    book,
    catalog,
    unready: () => (isDraining ? Promise.resolve('stopping') : findFault(store)),
    onArrival: () => metrics.requests.arrived(),
    onRequest: (record) => {
      metrics.requests.answered(record)
      counts.add(record)
      requestLog.add(record)
    },
  })
  // A verification may take hours, and goes on where it stopped.
  undo.push(() => admin?.drain(0))
  const server = await listen(address, front, {
    onConnection: () => turns.hurry(),
    onRefused: (connections) =>
      logger.warn({ connections }, 'refused connections beyond the limit'),
  })
  core.upkeep.start()
  const warmJobs = startJobs(config, operations, jobs, logger)
  undo.push(() => warmJobs.stop())
  return {
    url: urlOf(server, basePath),
    adminUrl: admin && urlOf(admin, ''),
    logger,
    async drain() {
      isDraining = true
      await server.drain(DRAIN_MS)
      await unwind(undo)
    },
  }
}

/** The second listener, if there is to be one. */
async function listenAdmin(
  { config, logger, metrics }: Core,
  operations: Operations,
): Promise<HttpServer | undefined> {
  const { listen: address } = config.admin
  if (address === undefined) return undefined
  const { names, publicUrl } = config.server
  const known = [address.host, hostname(), publicUrl?.hostname ?? '', ...names]
  const listener = createAdmin({
    operations,
    metrics: () => metrics.render(),
    data: config.storage.dir,
    names: new Set(known.map((name) => name.replace(/:\d+$/, '').toLowerCase())),
    log: logger,
  })
  const server = await listen({ ...address, key: 'admin.listen' }, listener, {}, ADMIN_LIMITS)
  if (!isLoopbackHost(server.host)) {
    logger.warn(
      { admin: urlOf(server, '') },
      'opened admin listener to the network, without a password',
    )
  }
  return server
}

/** Does every step, whatever goes wrong: the first failure is thrown at the end. */
async function unwind(undo: Undo[]): Promise<void> {
  const failures: unknown[] = []
  for (const step of undo.splice(0).toReversed()) {
    try {
      await step()
    } catch (reason) {
      // The steps after it close what this one does not know of, and release the directory.
      failures.push(reason)
    }
  }
  if (failures.length > 0) throw failures[0]
}

function isLoopbackHost(host: string): boolean {
  return host === 'localhost' || host === '::1' || host.startsWith('127.')
}

function urlOf({ host, port }: HttpServer, basePath: string): string {
  const shown = host === '' ? 'localhost' : host.includes(':') ? `[${host}]` : host
  return `http://${shown}:${port}${basePath}`
}
