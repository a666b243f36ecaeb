import { isIPv6 } from 'node:net'
import type { ListenAddress } from './config.ts'
import type { Reading } from './reading.ts'
import { expected, read } from './reading.ts'

const LISTEN = /^(?:(\[[0-9a-fA-F:.]{2,45}\]|[a-zA-Z0-9_][a-zA-Z0-9._-]{0,252})?:)?(\d{1,5})$/

export const LISTEN_FORMS = 'an address such as "127.0.0.1:5000", or ":5000" for every interface'

/** `host:port`, `[IPv6]:port`, or `:port` and `port`, which both mean every interface. */
export function readListenAddress(given: string | number): Reading<ListenAddress> {
  const match = LISTEN.exec(String(given))
  const port = Number(match?.[2])
  if (match === null || port > 65_535) return expected(LISTEN_FORMS)
  const host = match[1] ?? ''
  if (!host.startsWith('[')) return read({ host: host.toLowerCase(), port })
  const address = host.slice(1, -1)
  return isIPv6(address) ? read({ host: address, port }) : expected(LISTEN_FORMS)
}

export const ADMIN_LISTEN_FORMS = `${LISTEN_FORMS}, or false for none`

/** The same, or `false`, as a text too because a variable holds nothing else: `undefined`. */
export function readAdminListen(
  given: string | number | false,
): Reading<ListenAddress | undefined> {
  if (given === false || given === 'false') return read(undefined)
  const reading = readListenAddress(given)
  return 'value' in reading ? reading : expected(ADMIN_LISTEN_FORMS)
}

export function formatListenAddress({ host, port }: ListenAddress): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}
