import type { Config, UpstreamConfig } from '../config/config.ts'
import { formatDuration } from '../config/duration.ts'
import type { Digest } from '../oci/digest.ts'
import type { Reference, Repository } from '../oci/reference.ts'
import { formatReference } from '../oci/reference.ts'
import { RegistryError } from '../oci/registry-error.ts'
import { describeUrl } from '../upstream/describe-url.ts'
import type { Dialled } from '../upstream/dial.ts'
import { dial } from '../upstream/dial.ts'
import type { RegistryOptions } from '../upstream/options.ts'
import type { RateLimit } from '../upstream/rate-limit.ts'
import { proxyFor } from '../upstream/proxies.ts'
import { openUpstream } from '../upstream/registry-upstream.ts'
import { registryOptions } from '../wire-upstreams.ts'
import { ContentProbe } from './content.ts'
import type { ImageAddress } from './image-address.ts'
import { addressOf } from './image-address.ts'
import { lookUp } from './look-up.ts'
import type { WayDeps } from './way.ts'
import { Stopped, Way } from './way.ts'

/** What the upstream has under the image's name. */
export interface Found {
  readonly repository: Repository
  readonly reference: Reference
  /** `undefined`: it is offline, and was not asked. */
  readonly digest: Digest | undefined
}

/**
 * Goes the way of a pull of `image`, with the mirror's own client and without a mirror, and reports each
 * hop. `undefined` if one failed: it was the last to be reported.
 */
export async function probe(
  image: string,
  config: Config,
  deps: WayDeps,
): Promise<Found | undefined> {
  const address = findAddress(image, config, deps)
  const upstream = address && config.upstreams.get(address.repository.upstream)
  if (address === undefined || upstream === undefined) return undefined
  if (upstream.mode === 'offline') {
    const text = `${upstream.name} is offline: it is asked for nothing`
    deps.report({ name: 'upstream', outcome: 'skipped', text })
    const { repository, reference } = address
    return { repository, reference, digest: undefined }
  }
  const way = new Way(upstream, deps)
  try {
    return await pull(way, address, deps)
  } catch (reason) {
    // It has been reported.
    if (reason instanceof Stopped) return undefined
    throw reason
  }
}

function findAddress(image: string, config: Config, deps: WayDeps): ImageAddress | undefined {
  try {
    const address = addressOf(image, config)
    const { repository, reference, row } = address
    const separator = reference.kind === 'tag' ? ':' : '@'
    const name = `${repository.upstream}/${repository.name}${separator}${formatReference(reference)}`
    const why = row === 'default' ? ', because it names no registry' : ''
    deps.report({ name: 'address', outcome: 'ok', text: name + why })
    return address
  } catch (refusal) {
    if (!(refusal instanceof RegistryError)) throw refusal
    const place = config.source ?? 'a mirror.config.yaml'
    const advice =
      refusal.code === 'NAME_UNKNOWN'
        ? `name a registry as \`upstreams\` has it, or add this one there, in ${place}`
        : 'write [REGISTRY/]NAME[:TAG][@DIGEST], as in ghcr.io/org/image:1.2'
    deps.report({ name: 'address', outcome: 'failed', text: refusal.message, advice })
    return undefined
  }
}

async function pull(way: Way, address: ImageAddress, { clock }: WayDeps): Promise<Found> {
  const { repository, reference } = address
  const options = registryOptions(way.upstream)
  way.say({ name: 'upstream', outcome: 'ok', text: describeUpstream(way.upstream) })
  await reach(way, options)
  const { client } = openUpstream(options, { clock, onRequest: way.trace.record })
  try {
    const content = new ContentProbe(way, client, repository)
    const manifest = await content.manifest(reference)
    await content.blob(await content.platform(manifest))
    sayRateLimit(way, way.trace.rateLimit)
    return { repository, reference, digest: manifest.digest }
  } finally {
    await client.close()
  }
}

/** The endpoints in the order in which the client asks them, up to the first that can be reached. */
async function reach(way: Way, options: RegistryOptions): Promise<void> {
  for (const [index, endpoint] of options.endpoints.entries()) {
    const isLast = index === options.endpoints.length - 1
    const proxy = proxyFor(endpoint, options.proxies)
    if (!(await way.reach('dns', isLast, () => lookUp(endpoint, proxy)))) continue
    const connect = async () => describeConnection(await dial(options, endpoint))
    if (await way.reach('connect', isLast, connect)) return
  }
}

function describeUpstream({ name, endpoints, credentials }: UpstreamConfig): string {
  const urls = endpoints.map((url) => describeUrl(url).replace(/\/$/, '')).join(', then ')
  return `${name} at ${urls}, ${credentials === undefined ? 'anonymous' : 'with credentials'}`
}

function describeConnection({ address, proxy, tls }: Dialled): string {
  const place = address ?? `through the proxy ${proxy}`
  if (tls === undefined) return `${place}, without TLS`
  return `${place}, ${tls.protocol}, certificate by ${tls.issuer} until ${tls.validUntil}`
}

function sayRateLimit(way: Way, state: RateLimit | undefined): void {
  const name = 'rate limit'
  if (state === undefined) {
    way.say({ name, outcome: 'skipped', text: 'the registry states none' })
    return
  }
  const { limit, remaining, window } = state
  const period = window === undefined ? '' : ` per ${formatDuration(window * 1000)}`
  const text = `${remaining} of ${limit} pulls left${period}`
  if (remaining > 0) way.say({ name, outcome: 'ok', text })
  else {
    const advice = `give ${way.upstream.name} an \`auth\`, or wait: new images cannot be had until then`
    way.say({ name, outcome: 'warned', text, advice })
  }
}
