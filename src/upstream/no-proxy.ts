import { BlockList, isIP } from 'node:net'

/**
 * Whether an entry of NO_PROXY names the URL's host. There is no standard; this is what curl does, and
 * what others add to it:
 *
 *     registry.example, .registry.example   the host and every host below it
 *     *.registry.example                    every host below it
 *     10.1.2.3, ::1, 10.0.0.0/8             addresses, as they stand in the URL: nothing is resolved
 *     *                                     everything
 *
 * each with `:port` for that port only.
 */
export function isBypassed(url: URL, entries: readonly string[]): boolean {
  const host = url.hostname.replace(/^\[|\]$|\.$/g, '')
  const port = url.port || (url.protocol === 'https:' ? '443' : '80')
  return entries.some((entry) => {
    const [name, onlyPort] = split(entry.toLowerCase())
    return (onlyPort === undefined || onlyPort === port) && isNamed(host, name)
  })
}

/** A colon begins a port, unless there are several: then it is an IPv6 address without brackets. */
function split(entry: string): readonly [name: string, port: string | undefined] {
  const match = /^(?:\[([^\]]+)\]|([^:]+))(?::(\d+))?$/.exec(entry)
  return match === null ? [entry, undefined] : [match[1] ?? match[2] ?? '', match[3]]
}

function isNamed(host: string, name: string): boolean {
  if (name === '*') return true
  if (isIP(host) !== 0) return isInNetwork(host, name)
  const domain = name.replace(/^\*?\.|\.$/g, '')
  return host.endsWith(`.${domain}`) || (host === domain && !name.startsWith('*'))
}

function isInNetwork(address: string, name: string): boolean {
  const [network = '', bits] = name.split('/')
  const version = isIP(network)
  if (version === 0) return false
  const longest = version === 4 ? 32 : 128
  // A number that is missing after its slash is not 0, which would be every address.
  if (bits !== undefined && !/^\d{1,3}$/.test(bits)) return false
  const length = Number(bits ?? longest)
  if (length > longest) return false
  const list = new BlockList()
  list.addSubnet(network, length, version === 4 ? 'ipv4' : 'ipv6')
  return list.check(address, isIP(address) === 4 ? 'ipv4' : 'ipv6')
}
