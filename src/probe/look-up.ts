import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import { UpstreamFailure } from '../core/upstream-failure.ts'

const SHOWN = 4

/**
 * The addresses of a URL's host, in words; those of the proxy if it goes through one, because that is who
 * looks the host up then. Rejects with UpstreamFailure.
 */
export async function lookUp(url: URL, proxy: URL | undefined): Promise<string> {
  if (proxy === undefined) return addressesOf(url)
  return `the proxy ${await addressesOf(proxy)}`
}

async function addressesOf({ hostname }: URL): Promise<string> {
  const bare = hostname.replace(/^\[|\]$/g, '')
  if (isIP(bare) !== 0) return `${bare}: an address, nothing to look up`
  const addresses = await resolve(bare)
  const rest = addresses.length - SHOWN
  const shown = addresses.slice(0, SHOWN).join(', ')
  return `${bare}: ${shown}${rest > 0 ? ` and ${rest} more` : ''}`
}

async function resolve(hostname: string): Promise<readonly string[]> {
  try {
    const answers = await lookup(hostname, { all: true })
    return answers.map(({ address }) => address)
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : String(cause)
    const isAbsent = code === 'ENOTFOUND'
    const reason = isAbsent ? 'there is no such host' : `the resolver gives no answer (${code})`
    throw new UpstreamFailure('unavailable', `${hostname}: ${reason}`, { cause })
  }
}
