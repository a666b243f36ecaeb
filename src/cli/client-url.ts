import { hostname } from 'node:os'
import type { ServerConfig } from '../config/config.ts'

const EVERY_INTERFACE = new Set(['', '0.0.0.0', '::'])

/**
 * The URL that clients are given, without a slash at its end: what the operator says; else where the
 * mirror listens, by the name of this machine if that is every interface.
 */
export function clientUrl(
  { publicUrl, listen, basePath }: ServerConfig,
  url: string,
  machine: () => string = hostname,
): string {
  if (publicUrl !== undefined) {
    return publicUrl.pathname === '/'
      ? publicUrl.origin + basePath
      : publicUrl.href.replace(/\/$/, '')
  }
  if (!EVERY_INTERFACE.has(listen.host)) return url
  return `http://${machine()}:${new URL(url).port || '80'}${basePath}`
}
