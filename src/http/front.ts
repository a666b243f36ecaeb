import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import { getRequestListener } from '@hono/node-server'
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import { Hono } from 'hono'
import type { Mirror } from '../core/mirror.ts'
import { RegistryError } from '../oci/registry-error.ts'
import type { AddressBook } from './address-book.ts'
import type { Address } from './address.ts'
import { isRegistryTarget, parseAddress } from './address.ts'
import { refuse, toErrorAnswer } from './error-response.ts'
import type { RequestRecord } from './exchange.ts'
import { Exchange } from './exchange.ts'
import { parseRequestHost } from './request-host.ts'
import { readRequestTarget } from './request-target.ts'
import { answerRegistry } from './registry-routes.ts'
import { send } from './send.ts'

export interface FrontOptions {
  readonly mirror: Mirror
  readonly book: AddressBook
  /** Whether `_catalog` lists what is held. */
  readonly catalog: boolean
  /** Why the mirror is not ready to serve, or nothing. An upstream that is down is no reason. */
  readonly unready: () => Promise<string | undefined>
  /** Told of each request twice: when it is here, and when its answer is over. */
  readonly onArrival?: () => void
  readonly onRequest: (record: RequestRecord) => void
}

/** What a request is, once it has been let in. */
interface Admitted {
  readonly exchange: Exchange
  /** Absent for what is not below `/v2`. */
  readonly address?: Address
}

interface Env {
  readonly Bindings: {
    readonly incoming: IncomingMessage
    readonly outgoing: ServerResponse
  }
  readonly Variables: { readonly admitted: Admitted }
}

/**
 * The way in. A request is judged on its raw target, host and method before any router sees it, because
 * routers normalise (`/v2/a/../../admin` becomes `/admin`), and what two layers read differently is how
 * one of them is fooled. What passes is answered by the routes.
 */
export function createFront(options: FrontOptions): RequestListener {
  const admitted = new WeakMap<IncomingMessage, Admitted>()
  const app = createApp(options, admitted)
  // Only for HTTP/1.0, which may leave it out; no answer of ours is made from a host name.
  const listener = getRequestListener(app.fetch, {
    overrideGlobalObjects: false,
    hostname: 'localhost',
  })
  return (incoming, outgoing) => {
    options.onArrival?.()
    const exchange = new Exchange(incoming, outgoing, options.onRequest)
    try {
      admitted.set(incoming, admit(exchange, options.book))
    } catch (reason) {
      exchange.subject.error = reason
      refuse(exchange, toErrorAnswer(reason, exchange))
      return
    }
    // It answers every failure itself; a rejection would be a fault of the adapter.
    void listener(incoming, outgoing)
  }
}

/** Throws RegistryError for what no answer could be right for. */
function admit(exchange: Exchange, book: AddressBook): Admitted {
  const { incoming } = exchange
  const target = readRequestTarget(incoming)
  if (target.host.length === 0 && incoming.httpVersion !== '1.0') {
    throw new RegistryError('NAME_INVALID', 'the request has no Host header')
  }
  if (!isRegistryTarget(target.target, book)) {
    parseRequestHost(target.host)
    requireNoBody(incoming)
    return { exchange }
  }
  if (incoming.method !== 'GET' && incoming.method !== 'HEAD') {
    const detail = 'this is a read-only mirror: push to the registry itself'
    throw new RegistryError('UNSUPPORTED', detail)
  }
  const address = parseAddress(target, book)
  requireNoBody(incoming)
  return { exchange, address }
}

/** A body on a GET is how requests are smuggled past one of two servers; no client of ours sends one. */
function requireNoBody({ headers }: IncomingMessage): void {
  const length = headers['content-length']
  if (headers['transfer-encoding'] === undefined && (length === undefined || length === '0')) return
  throw new RegistryError('UNSUPPORTED', 'the request has a body, and nothing here takes one', {
    status: 400,
  })
}

function createApp(options: FrontOptions, admitted: WeakMap<IncomingMessage, Admitted>): Hono<Env> {
  const app = new Hono<Env>()
  app.use(async (c, next) => {
    const found = admitted.get(c.env.incoming)
    if (found === undefined) throw new Error('a request came past the front')
    c.set('admitted', found)
    await next()
  })
  app.get('/livez', (c) => {
    c.var.admitted.exchange.subject.route = 'livez'
    return c.text('ok\n')
  })
  app.get('/readyz', async (c) => {
    c.var.admitted.exchange.subject.route = 'readyz'
    const reason = await options.unready()
    return reason === undefined ? c.text('ok\n') : c.text(`not ready: ${reason}\n`, 503)
  })
  app.all('*', (c) => {
    const { exchange, address } = c.var.admitted
    if (address === undefined) throw notFound(options.book)
    return answerRegistry(options, exchange, address)
  })
  app.onError((reason, c) => answerError(reason, c.var.admitted.exchange))
  return app
}

function answerError(reason: Error, exchange: Exchange): Response {
  exchange.subject.error = reason
  if (exchange.outgoing.headersSent) {
    exchange.outgoing.destroy()
    return RESPONSE_ALREADY_SENT
  }
  const { status, headers, body } = toErrorAnswer(reason, exchange)
  return send(exchange, status, headers, body)
}

function notFound({ basePath }: AddressBook): RegistryError {
  const detail = `there is nothing here; the registry is at ${basePath}/v2/, the probes are /livez and /readyz`
  return new RegistryError('UNSUPPORTED', detail, { status: 404 })
}
