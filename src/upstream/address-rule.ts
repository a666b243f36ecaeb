import { BlockList, isIPv4 } from 'node:net'

/**
 * `private`: a network of the operator's. `special`: this machine, this link, cloud metadata, and
 * what is reserved or routed nowhere; no host name that a registry tells us may lead there.
 */
export type AddressClass = 'public' | 'private' | 'special'

/** IANA's special-purpose registry, and the metadata services that hide in other ranges. */
const SPECIAL_V4 = blockList('ipv4', [
  '0.0.0.0/8 127.0.0.0/8 169.254.0.0/16 192.0.0.0/24 192.0.2.0/24 192.88.99.0/24 198.18.0.0/15',
  '198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 240.0.0.0/4',
  '100.100.100.200/32', // Alibaba Cloud's metadata
  '168.63.129.16/32', // Azure's host agent
])
const PRIVATE_V4 = blockList('ipv4', ['10.0.0.0/8 100.64.0.0/10 172.16.0.0/12 192.168.0.0/16'])

/** Amazon's and Google's, inside fc00::/7. */
const METADATA_V6 = blockList('ipv6', ['fd00:ec2::/32 fd20:ce::254/128'])
const PRIVATE_V6 = blockList('ipv6', ['fc00::/7'])
/** What is neither private nor in here (loopback, link-local, site-local, multicast) is special. */
const GLOBAL_V6 = blockList('ipv6', ['2000::/3'])
/** Teredo, benchmarks, ORCHID and documentation, all inside 2000::/3. */
const SPECIAL_V6 = blockList('ipv6', [
  '2001::/32 2001:2::/48 2001:10::/28 2001:20::/28 2001:db8::/32 3fff::/20',
])

/** Any text that is no plain address, one with a zone among it, is special. */
export function classifyAddress(address: string): AddressClass {
  if (isIPv4(address)) return classifyV4(address)
  const groups = groupsOf(address)
  if (groups === undefined) return 'special'
  const embedded = embeddedV4(groups)
  if (embedded !== undefined) return classifyV4(embedded)
  const plain = groups.map((group) => group.toString(16)).join(':')
  if (METADATA_V6.check(plain, 'ipv6')) return 'special'
  if (PRIVATE_V6.check(plain, 'ipv6')) return 'private'
  const isPublic = GLOBAL_V6.check(plain, 'ipv6') && !SPECIAL_V6.check(plain, 'ipv6')
  return isPublic ? 'public' : 'special'
}

function classifyV4(address: string): AddressClass {
  if (SPECIAL_V4.check(address)) return 'special'
  return PRIVATE_V4.check(address) ? 'private' : 'public'
}

/** Mapped, NAT64 (RFC 6052) and 6to4 (RFC 3056) addresses reach the IPv4 host that they contain. */
function embeddedV4(groups: readonly number[]): string | undefined {
  const [g0 = 0, g1 = 0, g2 = 0, , , g5, g6 = 0, g7 = 0] = groups
  const isZero = (from: number, to: number) => groups.slice(from, to).every((group) => group === 0)
  const isMapped = isZero(0, 5) && g5 === 0xffff
  const isNat64 = g0 === 0x64 && g1 === 0xff9b && isZero(2, 6)
  if (isMapped || isNat64) return dotted(g6, g7)
  return g0 === 0x2002 ? dotted(g1, g2) : undefined
}

function dotted(high: number, low: number): string {
  return [high >> 8, high & 0xff, low >> 8, low & 0xff].join('.')
}

/** The eight groups of an IPv6 address; the URL parser knows all its spellings. */
function groupsOf(address: string): readonly number[] | undefined {
  const canonical = URL.parse(`http://[${address}]/`)?.hostname.slice(1, -1)
  if (canonical === undefined) return undefined
  const [head = '', tail = ''] = canonical.split('::')
  const left = hexGroups(head)
  const right = hexGroups(tail)
  const zeros = Array.from({ length: 8 - left.length - right.length }, () => 0)
  return [...left, ...zeros, ...right]
}

function hexGroups(text: string): readonly number[] {
  return text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16))
}

function blockList(family: 'ipv4' | 'ipv6', lines: readonly string[]): BlockList {
  const list = new BlockList()
  for (const range of lines.flatMap((line) => line.split(' '))) {
    const [network = '', bits] = range.split('/')
    list.addSubnet(network, Number(bits), family)
  }
  return list
}
