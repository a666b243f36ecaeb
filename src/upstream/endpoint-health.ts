import type { UpstreamState } from '../core/upstream-state.ts'
import { Circuit } from './circuit.ts'
import type { RegistryOptions, RequestKind, UpstreamDeps } from './options.ts'
import { RateMemory } from './rate-limit.ts'

/** What is known of one endpoint from what it has answered before. */
export interface EndpointHealth {
  /** `host` or `host:port`. */
  readonly host: string
  readonly circuit: Circuit
  readonly rate: RateMemory
}

export function healthOf(
  { host }: URL,
  options: RegistryOptions,
  deps: UpstreamDeps,
): EndpointHealth {
  const { name: upstream, rateLimit } = options
  const { clock, onEvent } = deps
  const circuit = circuitOf(host, options, deps)
  const rate = new RateMemory(rateLimit.reserve, clock, (isSaving, told) =>
    onEvent?.({ what: 'saving', upstream, host, isSaving, rateLimit: told }),
  )
  return { host, circuit, rate }
}

/** Of a registry's endpoint, or of a token server, which may be away while the registry is there. */
export function circuitOf(
  host: string,
  { name: upstream }: RegistryOptions,
  { clock, onEvent }: UpstreamDeps,
): Circuit {
  return new Circuit(host, clock, (event) => onEvent?.({ what: 'circuit', upstream, ...event }))
}

/** An endpoint that is away is passed over; where all are, not even a slot is worth waiting for. */
export function refuseWhereAllRefuse(healths: readonly EndpointHealth[], kind: RequestKind): void {
  const refusals = healths.map(({ circuit }) => circuit.refusal(kind))
  const last = refusals.at(-1)
  if (last !== undefined && !refusals.includes(undefined)) throw last
}

export function describeHealths(
  healths: readonly EndpointHealth[],
): Pick<UpstreamState, 'endpoints' | 'isSaving'> {
  const asked = healths.find(({ circuit }) => circuit.refusal('manifest') === undefined)
  const endpoints = healths.map(({ host, circuit, rate }) => {
    return { host, circuit: circuit.state(), rateLimit: rate.state() }
  })
  return { endpoints, isSaving: asked?.rate.isSaving() ?? false }
}
