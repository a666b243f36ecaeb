import { isIPv6 } from 'node:net'
import { RegistryError } from '../oci/registry-error.ts'
import { canonicalHost } from './address-book.ts'
import { quoteInput } from './quote-input.ts'

/** The `Host` header, lower case and without a default port. */
export interface RequestHost {
  readonly name: string
  readonly nameAndPort: string
}

/** A DNS name is at most 253 characters; then `:65535`. */
const MAX_HOST_LENGTH = 259
/** RFC 9110 §7.2 `uri-host [":" port]`, with underscores: Compose makes service names that have them. */
const HOST = /^([a-z0-9_][a-z0-9._-]*|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?$/i

/**
 * `undefined` if there is none, which HTTP/1.0 allows. Throws RegistryError NAME_INVALID (400) for one
 * that is not a host, and for several: two layers would each believe another one.
 */
export function parseRequestHost(values: readonly string[]): RequestHost | undefined {
  const [value, ...others] = values
  if (value === undefined) return undefined
  if (others.length > 0)
    throw new RegistryError('NAME_INVALID', 'the request has several Host headers')
  const match = value.length > MAX_HOST_LENGTH ? null : HOST.exec(value)
  const name = match?.[1]
  const isAddress = name?.startsWith('[') !== true || isIPv6(name.slice(1, -1))
  if (name === undefined || !isAddress || Number(match?.[2] ?? 1) > 65_535) {
    const detail = `the Host header ${quoteInput(value)} is not a host name with an optional port`
    throw new RegistryError('NAME_INVALID', detail)
  }
  return { name: name.toLowerCase(), nameAndPort: canonicalHost(value) }
}
