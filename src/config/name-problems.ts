import { parseUpstreamName } from '../oci/reference.ts'
import { didYouMean } from './did-you-mean.ts'
import type { Path, Problem } from './problem.ts'
import { tableAt, textsAt, valueAt } from './raw-input.ts'
import { DEFAULT_UPSTREAMS } from './settings.ts'

/** Canonical name → the upstream, as the file spells it, that has it. */
type Claims = Map<string, string>

/** As aliases they would take away repositories of the default upstream, or the API's own path. */
const RESERVED = new Set(['library', 'v2'])

/** Names that are no names, and names that could mean two upstreams. */
export function nameProblems(input: unknown): readonly Problem[] {
  const upstreams = configuredUpstreams(input)
  const claims: Claims = new Map()
  return [
    ...Object.keys(upstreams).flatMap((name) => upstreamName(name, claims)),
    ...Object.keys(upstreams).flatMap((name) => aliases(name, upstreams, claims)),
    ...ownNames(input, claims),
    ...defaultUpstream(input, upstreams),
  ]
}

/** The table as the file has it, or the default one, which the file has then chosen. */
export function configuredUpstreams(input: unknown): Readonly<Record<string, unknown>> {
  const isGiven = valueAt(input, 'upstreams') !== undefined
  return isGiven ? tableAt(input, 'upstreams') : DEFAULT_UPSTREAMS
}

function upstreamName(name: string, claims: Claims): readonly Problem[] {
  const path = ['upstreams', name]
  const canonical = parseUpstreamName(name)
  if (canonical === undefined) {
    return [
      { path, message: 'expected the host of a registry such as "ghcr.io", without https://' },
    ]
  }
  // The first segment of a path counts as a registry only with one of these, as in image names.
  if (!/[.:]/.test(canonical) && canonical !== 'localhost') {
    const advice = 'use the name that stands in image names, and put this one into aliases'
    return [{ path, message: `expected a host with a "." or a port: ${advice}` }]
  }
  const other = claims.get(canonical)
  if (other === undefined) {
    claims.set(canonical, name)
    return []
  }
  return [{ path, message: `is the same upstream as "${other}": both are ${canonical}` }]
}

function aliases(
  upstream: string,
  upstreams: Readonly<Record<string, unknown>>,
  claims: Claims,
): readonly Problem[] {
  return textsAt(upstreams[upstream], 'aliases').flatMap(([index, alias]) => {
    const path = ['upstreams', upstream, 'aliases', index]
    const canonical = parseUpstreamName(alias)
    if (canonical === undefined) return []
    if (RESERVED.has(canonical)) {
      return [{ path, message: `"${alias}" is the beginning of other images' names` }]
    }
    const other = claims.get(canonical)
    claims.set(canonical, other ?? upstream)
    if (other === undefined || other === upstream) return []
    return [{ path, message: `"${alias}" already means the upstream "${other}"` }]
  })
}

/** A name of the mirror itself counts as no name, so no upstream by that name could be reached. */
function ownNames(input: unknown, claims: Claims): readonly Problem[] {
  const server = tableAt(input, 'server')
  const own: (readonly [Path, string])[] = textsAt(server, 'names').map(([index, name]) => [
    ['server', 'names', index],
    name,
  ])
  const publicUrl = valueAt(server, 'publicUrl')
  const host = typeof publicUrl === 'string' ? URL.parse(publicUrl)?.host : undefined
  if (host !== undefined) own.push([['server', 'publicUrl'], host])
  return own.flatMap(([path, name]) => {
    const upstream = claims.get(parseUpstreamName(name) ?? '')
    if (upstream === undefined) return []
    return [{ path, message: `"${name}" already means the upstream "${upstream}"` }]
  })
}

function defaultUpstream(
  input: unknown,
  upstreams: Readonly<Record<string, unknown>>,
): readonly Problem[] {
  const given = valueAt(input, 'defaultUpstream')
  if (typeof given !== 'string') return []
  const names = Object.keys(upstreams)
  const canonical = parseUpstreamName(given)
  const isConfigured = names.some((name) => parseUpstreamName(name) === canonical)
  if (canonical !== undefined && isConfigured) return []
  const hint = didYouMean(given, names) || ` (configured: ${names.slice(0, 20).join(', ')})`
  return [{ path: ['defaultUpstream'], message: `is not a configured upstream${hint}` }]
}
