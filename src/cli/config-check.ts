import type { Command } from 'commander'
import type { Config, ProxyConfig, UpstreamConfig } from '../config/config.ts'
import { formatDuration } from '../config/duration.ts'
import { formatListenAddress } from '../config/listen-address.ts'
import { displayPath } from '../config/load-config.ts'
import type { Context } from './context.ts'

export function addConfigCheck(config: Command, context: Context): void {
  config
    .command('check')
    .description('say whether the configuration is right, and what it comes to')
    .action(async (_options: object, command: Command) => {
      const { stdout, cwd } = context.terminal
      const loaded = await context.load(command)
      stdout.write(`${summarize(loaded.config, cwd).join('\n')}\n`)
    })
}

function summarize(config: Config, cwd: string): readonly string[] {
  const { source, server, storage } = config
  const upstreams = [...config.upstreams.values()]
  const width = Math.max(...upstreams.map(({ name }) => name.length))
  return [
    `OK  ${source === undefined ? 'no file: the embedded defaults' : displayPath(source, cwd)}`,
    `listen    ${formatListenAddress(server.listen)}${server.basePath}`,
    `data      ${storage.dir}`,
    `default   ${config.defaultUpstream ?? 'none'}`,
    ...summarizeProxies(upstreams[0]?.proxies),
    ...upstreams.map((upstream) => `upstream  ${summarizeUpstream(upstream, width)}`),
  ]
}

function summarizeUpstream(upstream: UpstreamConfig, width: number): string {
  const { name, mode, endpoints, credentials, tags } = upstream
  if (mode === 'offline') return `${name.padEnd(width)}  offline`
  const urls = endpoints.map((url) => url.href.replace(/\/$/, '')).join(', ')
  const reader =
    credentials === undefined ? 'anonymous' : `with credentials${receivers(endpoints)}, shared`
  const asked = mode === 'cache-first' ? mode : `tags ${formatDuration(tags.ttl)}`
  return `${name.padEnd(width)}  ${urls}  ${reader}, ${asked}`
}

/** Several endpoints may belong to several owners, and each of them is given the credentials. */
function receivers(endpoints: readonly URL[]): string {
  const hosts = [...new Set(endpoints.map(({ host }) => host))]
  return hosts.length === 1 ? '' : ` (sent to ${hosts.join(' and to ')})`
}

/** They come from the environment, for all upstreams. The URLs may hold a password: host and port say enough. */
function summarizeProxies(proxies: ProxyConfig | undefined): readonly string[] {
  if (proxies === undefined) return []
  const { http, https, bypass } = proxies
  const ways = Object.entries({ http, https }).flatMap(([scheme, proxy]) =>
    proxy === undefined ? [] : [`${scheme} through ${proxy.host}`],
  )
  if (ways.length === 0) return []
  return [`proxy     ${[...ways, ...bypass.map((entry) => `not for ${entry}`)].join(', ')}`]
}
