import type { Config, UpstreamConfig } from './config/config.ts'
import { compileImmutableTags } from './config/immutable-tags.ts'
import { offlineUpstream } from './core/offline-upstream.ts'
import { steady } from './core/steady-clock.ts'
import { systemClock } from './core/system-clock.ts'
import type { Lanes, UpstreamEntry } from './core/upstream-entry.ts'
import type { Logger } from './observe/logger.ts'
import type { Metrics } from './observe/metrics.ts'
import { logUpstream } from './observe/log-upstream.ts'
import type { UpstreamName } from './oci/reference.ts'
import type { RegistryOptions } from './upstream/options.ts'
import { openUpstream } from './upstream/registry-upstream.ts'

/** A client for each configured upstream, with its log and its metrics. They have to be closed. */
export function openUpstreams(
  config: Config,
  logger: Logger,
  metrics: Metrics,
): ReadonlyMap<UpstreamName, UpstreamEntry> {
  const entries = new Map<UpstreamName, UpstreamEntry>()
  for (const upstream of config.upstreams.values()) {
    entries.set(upstream.name, openEntry(upstream, config.staleIfError, logger, metrics))
  }
  return entries
}

function openEntry(
  upstream: UpstreamConfig,
  staleIfError: number,
  logger: Logger,
  metrics: Metrics,
): UpstreamEntry {
  const { mode, credentials, tags, prefetch } = upstream
  const isImmutable = compileImmutableTags(tags.immutable)
  return {
    mode,
    ...(mode === 'offline' ? offlineUpstream(upstream.name) : openLanes(upstream, logger, metrics)),
    tags: { ...tags, staleIfError, isImmutable },
    isPublic: credentials === undefined,
    prefetch,
  }
}

function openLanes(upstream: UpstreamConfig, logger: Logger, metrics: Metrics): Lanes {
  const lanes = openUpstream(registryOptions(upstream), {
    clock: steady(systemClock),
    onRequest: (event) => {
      metrics.upstreams.asked(event)
      logger.debug(event, 'asked upstream')
    },
    onEvent: (event) => logUpstream(logger, event),
  })
  return metrics.upstreams.watch(upstream.name, lanes)
}

/** What a configured upstream is to its client, here and where one is only looked at. */
export function registryOptions(upstream: UpstreamConfig): RegistryOptions {
  const { mode: _, prefetch: __, credentials, ca, ...settings } = upstream
  return { ...settings, ...(credentials && { credentials }), ...(ca !== undefined && { ca }) }
}
