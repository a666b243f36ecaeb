import { stringify } from 'yaml'
import type { Config, TagsConfig, UpstreamConfig } from './config.ts'
import { formatDuration } from './duration.ts'
import { formatListenAddress } from './listen-address.ts'
import type { LoadedConfig } from './load-config.ts'
import type { Secret } from './secret.ts'
import type { UpstreamSettings } from './settings.ts'
import { formatFreeSpace, formatSize } from './size.ts'

const REDACTED = '<redacted>'

/**
 * The configuration in effect, in the form of a configuration file: defaults filled in, variables and
 * flags applied, names canonical. A secret that the file itself holds is left out; where one is kept
 * elsewhere, the place is shown. The text of `ca` is not repeated: its path is.
 */
export function printableConfig({ config, settings }: LoadedConfig): object {
  const entries = Object.values(settings.upstreams)
  const upstreams = [...config.upstreams.values()].map((upstream, index) => [
    upstream.name,
    printableUpstream(upstream, entries[index]),
  ])
  return {
    server: printableServer(config),
    admin: {
      listen: config.admin.listen === undefined ? false : formatListenAddress(config.admin.listen),
    },
    storage: {
      dir: config.storage.dir,
      ...optional('maxSize', config.storage.maxSize, formatSize),
      minFree: formatFreeSpace(config.storage.minFree),
    },
    defaultUpstream: config.defaultUpstream ?? false,
    upstreams: Object.fromEntries(upstreams),
    staleIfError: formatDuration(config.staleIfError),
    warm: printableWarm(config),
    log: config.log,
  }
}

/** The same as text. Both forms are configuration files, but for the secrets that were left out. */
export function formatConfig(loaded: LoadedConfig, format: 'json' | 'yaml'): string {
  const printable = printableConfig(loaded)
  return format === 'json' ? `${JSON.stringify(printable, null, 2)}\n` : stringify(printable)
}

function printableServer({ server }: Config): object {
  return {
    listen: formatListenAddress(server.listen),
    basePath: server.basePath,
    ...optional('publicUrl', server.publicUrl, String),
    names: server.names,
    catalog: server.catalog,
  }
}

function printableWarm({ warm: { platforms, referrers, jobs } }: Config): object {
  return {
    platforms,
    referrers,
    jobs: jobs.map((job) => ({
      name: job.name,
      schedule: job.schedule.text,
      from: job.from.map((source) =>
        'input' in source ? source.input : `log:${formatDuration(source.servedWithin)}`,
      ),
      ...optional('platforms', job.platforms, (list) => list),
      pin: job.pin,
    })),
  }
}

function printableUpstream(
  upstream: UpstreamConfig,
  settings: UpstreamSettings | undefined,
): object {
  const { endpoints, aliases, hosts, access, insecure, tokenRealms, redirectHosts } = upstream
  const [url, ...others] = endpoints
  return {
    mode: upstream.mode,
    ...(others.length === 0 ? { url: String(url) } : { endpoints: endpoints.map(String) }),
    aliases,
    hosts,
    ...optional('auth', settings?.auth, printableAuth),
    ...optional('access', access, String),
    tags: printableTags(upstream.tags),
    ...optional('ca', settings?.ca, String),
    insecure,
    tokenRealms,
    redirectHosts,
    connections: upstream.connections,
    rateLimit: { ...upstream.rateLimit },
  }
}

function printableTags(tags: TagsConfig): object {
  return {
    ttl: formatDuration(tags.ttl),
    patience: formatDuration(tags.patience),
    staleWhileRevalidate: formatDuration(tags.staleWhileRevalidate),
    onGone: tags.onGone,
    authGrace: formatDuration(tags.authGrace),
    immutable: tags.immutable,
  }
}

function printableAuth(auth: NonNullable<UpstreamSettings['auth']>): object {
  const { dockerConfig, helper, server, ...secrets } = auth
  return {
    ...Object.fromEntries(
      Object.entries(secrets).map(([key, secret]) => [key, printableSecret(secret)]),
    ),
    ...optional('dockerConfig', dockerConfig, String),
    ...optional('helper', helper, String),
    ...optional('server', server, String),
  }
}

function printableSecret(secret: Secret | undefined): unknown {
  return typeof secret === 'object' ? secret : REDACTED
}

/** The key with its value, or neither. */
function optional<T>(key: string, value: T | undefined, format: (value: T) => unknown): object {
  return value === undefined ? {} : { [key]: format(value) }
}
