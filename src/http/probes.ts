import type { IncomingMessage, ServerResponse } from 'node:http'
import { getRequestListener } from '@hono/node-server'
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import { Hono } from 'hono'
import { RegistryError } from '../oci/registry-error.ts'
import type { AddressBook } from './address-book.ts'
import { fail } from './error-response.ts'
import type { Exchange } from './exchange.ts'

export interface ProbeOptions {
  readonly book: AddressBook
  /** Why the mirror is not ready to serve, or nothing. An upstream that is down is no reason. */
  readonly unready: () => Promise<string | undefined>
}

interface Env {
  readonly Bindings: {
    readonly incoming: IncomingMessage
    readonly outgoing: ServerResponse
  }
  readonly Variables: { readonly exchange: Exchange }
}

/** Answers what is not below `/v2`: the probes, and where those and the registry are. */
export function createProbes({ book, unready }: ProbeOptions): (exchange: Exchange) => void {
  const exchanges = new WeakMap<IncomingMessage, Exchange>()
  const app = new Hono<Env>()
  app.use(async (c, next) => {
    const exchange = exchanges.get(c.env.incoming)
    if (exchange === undefined) throw new Error('a request came past the front')
    c.set('exchange', exchange)
    await next()
  })
  app.get('/livez', (c) => {
    c.var.exchange.subject.route = 'livez'
    return c.text('ok\n')
  })
  app.get('/readyz', async (c) => {
    c.var.exchange.subject.route = 'readyz'
    const reason = await unready()
    return reason === undefined ? c.text('ok\n') : c.text(`not ready: ${reason}\n`, 503)
  })
  app.all('*', () => {
    throw notFound(book)
  })
  app.onError((reason, c) => {
    fail(c.var.exchange, reason)
    return RESPONSE_ALREADY_SENT
  })
  // Only for HTTP/1.0, which may leave it out; no answer of ours is made from a host name.
  const options = { overrideGlobalObjects: false, hostname: 'localhost' }
  const listener = getRequestListener(app.fetch, options)
  return (exchange) => {
    const { incoming, outgoing } = exchange
    exchanges.set(incoming, exchange)
    // It answers every failure itself; a rejection would be a fault of the adapter.
    void listener(incoming, outgoing)
  }
}

function notFound({ basePath }: AddressBook): RegistryError {
  const detail = `there is nothing here; the registry is at ${basePath}/v2/, the probes are /livez and /readyz`
  return new RegistryError('UNSUPPORTED', detail, { status: 404 })
}
