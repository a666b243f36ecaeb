import { resolve } from 'node:path'
import { formatPlatform, parsePlatform } from '../oci/platform.ts'
import { DOCKER_HUB, parseUpstreamName } from '../oci/reference.ts'
import type { UpstreamName } from '../oci/reference.ts'
import { readCaBundle } from './ca-bundle.ts'
import type { Config, ProxyConfig, UpstreamConfig } from './config.ts'
import { readCredentials } from './credentials.ts'
import type { SecretPlace } from './secret.ts'
import type { Settings, UpstreamSettings } from './settings.ts'

/** What paths are relative to: files that the configuration names to the file, the data to where we run. */
export interface Origin {
  readonly source: string | undefined
  readonly cwd: string
  readonly place: SecretPlace
  readonly proxies: ProxyConfig
}

/** Makes settings that have been found faultless into what the mirror runs with. */
export async function resolveConfig(settings: Settings, origin: Origin): Promise<Config> {
  const { server, admin, storage, staleIfError, warm, log } = settings
  const upstreams = new Map<UpstreamName, UpstreamConfig>()
  for (const [name, entry] of Object.entries(settings.upstreams)) {
    const upstream = await resolveUpstream(name, entry, origin)
    upstreams.set(upstream.name, upstream)
  }
  return deepFreeze({
    source: origin.source,
    server: { ...server, publicUrl: server.publicUrl },
    admin,
    storage: {
      dir: resolve(origin.cwd, storage.dir),
      maxSize: storage.maxSize,
      minFree: storage.minFree,
    },
    defaultUpstream: resolveDefault(settings.defaultUpstream, upstreams),
    upstreams,
    staleIfError,
    warm: resolveWarm(warm),
    log,
  })
}

async function resolveUpstream(
  key: string,
  settings: UpstreamSettings,
  { place, proxies }: Origin,
): Promise<UpstreamConfig> {
  const { url, endpoints, auth, access, ca, aliases, ...rest } = settings
  const name = canonicalName(key)
  const isOffline = settings.mode === 'offline'
  return deepFreeze({
    ...rest,
    name,
    endpoints: endpoints ?? [url ?? defaultUrl(name)],
    aliases: aliases.filter((alias) => parseUpstreamName(alias) !== name),
    credentials: auth && (() => readCredentials(name, auth, place)),
    access,
    proxies,
    ca: ca === undefined || isOffline ? undefined : await readCaBundle(resolve(place.dir, ca)),
  })
}

function resolveWarm({ platforms, referrers, jobs }: Settings['warm']): Config['warm'] {
  return {
    platforms: platforms ?? [hostPlatform()],
    referrers,
    jobs: jobs.map((job) => ({ ...job, platforms: job.platforms })),
  }
}

/** What runs here: images are for Linux, whatever this is. */
function hostPlatform(): string {
  const platform = parsePlatform(`linux/${process.arch}`)
  return platform === undefined ? 'all' : formatPlatform(platform)
}

/** Docker Hub's API has a host of its own; every other registry answers where its images say. */
function defaultUrl(name: UpstreamName): URL {
  return new URL(`https://${name === DOCKER_HUB ? 'registry-1.docker.io' : name}`)
}

function resolveDefault(
  given: string | false | undefined,
  upstreams: ReadonlyMap<UpstreamName, UpstreamConfig>,
): UpstreamName | undefined {
  if (given === false) return undefined
  if (given !== undefined) return canonicalName(given)
  return upstreams.has(DOCKER_HUB) ? DOCKER_HUB : undefined
}

function canonicalName(text: string): UpstreamName {
  const name = parseUpstreamName(text)
  if (name === undefined) throw new Error(`unchecked upstream name: ${text}`)
  return name
}

function deepFreeze<T extends object>(value: T): T {
  for (const inner of Object.values(value)) {
    if (typeof inner === 'object' && inner !== null && !Object.isFrozen(inner)) deepFreeze(inner)
  }
  return Object.freeze(value)
}
