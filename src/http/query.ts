import { RegistryError } from '../oci/registry-error.ts'
import { quoteInput } from './quote-input.ts'

/** The parameters that mean something to us. Every other one is ignored, as HTTP clients expect. */
const KNOWN = ['ns', 'oci-ref-name', 'n', 'last', 'artifactType'] as const

type Parameter = (typeof KNOWN)[number]
export type Query = ReadonlyMap<Parameter, string>

/**
 * Percent-decodes once, and leaves `+` alone (RFC 3986; media types contain it). A repeated parameter is
 * refused, because clients, proxies and servers disagree about which of the two counts.
 *
 * Throws RegistryError NAME_INVALID (400).
 */
export function parseQuery(text: string | undefined): Query {
  const query = new Map<Parameter, string>()
  for (const pair of (text ?? '').split('&')) {
    const equals = pair.indexOf('=')
    const name = decode(equals < 0 ? pair : pair.slice(0, equals))
    const value = decode(equals < 0 ? '' : pair.slice(equals + 1))
    if (!isKnown(name)) continue
    if (query.has(name)) {
      throw new RegistryError('NAME_INVALID', `the query parameter "${name}" is given twice`)
    }
    query.set(name, value)
  }
  return query
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch (cause) {
    const detail = `the query has an escape that is not UTF-8: ${quoteInput(text)}`
    throw new RegistryError('NAME_INVALID', detail, { cause })
  }
}

function isKnown(name: string): name is Parameter {
  return (KNOWN as readonly string[]).includes(name)
}
