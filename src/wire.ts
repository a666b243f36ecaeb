import type { Config, UpstreamConfig } from './config/config.ts'
import { compileImmutableTags } from './config/immutable-tags.ts'
import { Mirror } from './core/mirror.ts'
import { openAccess } from './core/open-access.ts'
import type { BlobStore } from './core/ports.ts'
import { systemClock } from './core/system-clock.ts'
import type { UpstreamEntry } from './core/upstream-entry.ts'
import { compileAddressBook } from './http/address-book.ts'
import { createFront } from './http/front.ts'
import type { HttpServer } from './http/server.ts'
import { listen } from './http/server.ts'
import type { Logger } from './observe/logger.ts'
import { createLogger } from './observe/logger.ts'
import { logRequest } from './observe/request-log.ts'
import type { UpstreamName } from './oci/reference.ts'
import { CachedCatalog } from './store/cached-catalog.ts'
import { openDataDirectory } from './store/data-directory.ts'
import { DiskBlobStore } from './store/disk-blob-store.ts'
import { SqliteCatalog } from './store/sqlite-catalog.ts'
import type { RegistryOptions } from './upstream/options.ts'
import { openUpstream } from './upstream/registry-upstream.ts'

/** Answers under way get this long when the mirror stops; Kubernetes kills after 30 s. */
const DRAIN_MS = 25_000

export interface RunningMirror {
  /** Where it listens: `http://127.0.0.1:5000`, with the base path. */
  readonly url: string
  readonly logger: Logger
  /** Stops accepting, lets answers under way finish (at most 25 s), and closes everything in order. */
  drain(): Promise<void>
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
    return await build(config, undo)
  } catch (reason) {
    await unwind(undo)
    throw reason
  }
}

async function build(config: Config, undo: Undo[]): Promise<RunningMirror> {
  const logger = createLogger(config.log)
  const directory = openDataDirectory(config.storage.dir)
  const { layout } = directory
  undo.push(() => directory.release())
  const sqlite = await SqliteCatalog.open(layout.catalog)
  undo.push(() => sqlite.close())
  const catalog = new CachedCatalog(sqlite)
  const store = await DiskBlobStore.open(layout.root)
  const upstreams = openUpstreams(config, logger)
  undo.push(async () => {
    await Promise.all([...upstreams.values()].map(({ client }) => client.close()))
  })
  const { maxSize, minFree } = config.storage
  const limits = { maxSize, minFree }
  const mirror = new Mirror({
    upstreams,
    store,
    catalog,
    access: openAccess,
    limits,
    clock: systemClock,
    log: logger,
  })
  await mirror.recover()
  undo.push(() => mirror.abort(new Error('the mirror is stopping')))
  return serve(config, mirror, store, logger, undo)
}

async function serve(
  config: Config,
  mirror: Mirror,
  store: BlobStore,
  logger: Logger,
  undo: Undo[],
): Promise<RunningMirror> {
  let isDraining = false
  const { listen: address, publicUrl, names, basePath, catalog } = config.server
  const book = compileAddressBook({
    upstreams: config.upstreams.values(),
    defaultUpstream: config.defaultUpstream,
    names,
    publicUrl,
    basePath,
  })
  const front = createFront({
    mirror,
    book,
    catalog,
    unready: () => (isDraining ? Promise.resolve('stopping') : findFault(store)),
    onRequest: (record) => logRequest(logger, record),
  })
  const server = await listen(address, front)
  return {
    url: urlOf(server, basePath),
    logger,
    async drain() {
      isDraining = true
      await server.drain(DRAIN_MS)
      await unwind(undo)
    },
  }
}

function openUpstreams(config: Config, logger: Logger): ReadonlyMap<UpstreamName, UpstreamEntry> {
  const entries = new Map<UpstreamName, UpstreamEntry>()
  for (const upstream of config.upstreams.values()) {
    entries.set(upstream.name, openEntry(upstream, config.staleIfError, logger))
  }
  return entries
}

function openEntry(upstream: UpstreamConfig, staleIfError: number, logger: Logger): UpstreamEntry {
  const { credentials, tags } = upstream
  const client = openUpstream(registryOptions(upstream), {
    clock: systemClock,
    onRequest: (event) => logger.debug(event, 'asked upstream'),
  })
  const isImmutable = compileImmutableTags(tags.immutable)
  return {
    client,
    tags: { ...tags, staleIfError, isImmutable },
    isPublic: credentials === undefined,
  }
}

/** What a configured upstream is to its client, here and where one is only looked at. */
export function registryOptions(upstream: UpstreamConfig): RegistryOptions {
  const { credentials, ca, ...settings } = upstream
  return { ...settings, ...(credentials && { credentials }), ...(ca !== undefined && { ca }) }
}

/** What would keep the cache itself from working; what upstreams do is not our readiness. */
async function findFault(store: BlobStore): Promise<string | undefined> {
  try {
    await store.space()
    return undefined
  } catch (reason) {
    return `the data directory cannot be read: ${reason instanceof Error ? reason.message : String(reason)}`
  }
}

async function unwind(undo: Undo[]): Promise<void> {
  for (const step of undo.toReversed()) await step()
  undo.length = 0
}

function urlOf({ host, port }: HttpServer, basePath: string): string {
  const shown = host === '' ? 'localhost' : host.includes(':') ? `[${host}]` : host
  return `http://${shown}:${port}${basePath}`
}
