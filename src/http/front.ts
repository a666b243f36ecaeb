import type { RequestListener } from 'node:http'
import type { Address } from './address.ts'
import { Admission } from './admission.ts'
import { fail, refuse, toErrorAnswer } from './error-response.ts'
import type { RequestRecord } from './exchange.ts'
import { Exchange } from './exchange.ts'
import type { ProbeOptions } from './probes.ts'
import { answerProbe } from './probes.ts'
import type { RegistryRouteOptions } from './registry-routes.ts'
import { answerAtOnce, answerRegistry } from './registry-routes.ts'

export interface FrontOptions extends RegistryRouteOptions, ProbeOptions {
  /** Told of each request twice: when it is here, and when its answer is over. */
  readonly onArrival?: () => void
  readonly onRequest: (record: RequestRecord) => void
}

/**
 * The way in. A request is judged on its raw target, host and method before any router sees it, because
 * routers normalise (`/v2/a/../../admin` becomes `/admin`), and what two layers read differently is how
 * one of them is fooled. What is below `/v2` has one address, and needs no router at all.
 */
export function createFront(options: FrontOptions): RequestListener {
  const admission = new Admission(options.book)
  return (incoming, outgoing) => {
    options.onArrival?.()
    const exchange = new Exchange(incoming, outgoing, options.onRequest)
    let address: Address | undefined
    try {
      address = admission.admit(incoming)
    } catch (reason) {
      exchange.subject.error = reason
      refuse(exchange, toErrorAnswer(reason, exchange))
      return
    }
    void answer(options, exchange, address)
  }
}

/** `address`: none of what is not below `/v2`. */
async function answer(
  options: FrontOptions,
  exchange: Exchange,
  address: Address | undefined,
): Promise<void> {
  try {
    if (address === undefined) return await answerProbe(options, exchange)
    if (!answerAtOnce(options, exchange, address)) await answerRegistry(options, exchange, address)
  } catch (reason) {
    fail(exchange, reason)
  }
}
