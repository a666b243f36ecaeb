import type { RequestListener } from 'node:http'
import type { Address } from './address.ts'
import { Admission } from './admission.ts'
import { fail, refuse, toErrorAnswer } from './error-response.ts'
import type { RequestRecord } from './exchange.ts'
import { Exchange } from './exchange.ts'
import type { ProbeOptions } from './probes.ts'
import { createProbes } from './probes.ts'
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
  const answerOther = createProbes(options)
  return (incoming, outgoing) => {
    options.onArrival?.()
    const exchange = new Exchange(incoming, outgoing, options.onRequest)
    try {
      const address = admission.admit(incoming)
      if (address === undefined) answerOther(exchange)
      else if (!answerAtOnce(options, exchange, address)) void answer(options, exchange, address)
    } catch (reason) {
      exchange.subject.error = reason
      refuse(exchange, toErrorAnswer(reason, exchange))
    }
  }
}

async function answer(options: FrontOptions, exchange: Exchange, address: Address): Promise<void> {
  try {
    await answerRegistry(options, exchange, address)
  } catch (reason) {
    fail(exchange, reason)
  }
}
