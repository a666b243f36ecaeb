import { RegistryError } from '../oci/registry-error.ts'
import type { AddressBook } from './address-book.ts'
import type { Exchange } from './exchange.ts'
import { respond } from './respond.ts'

export interface ProbeOptions {
  readonly book: AddressBook
  /** Why the mirror is not ready to serve, or nothing. An upstream that is down is no reason. */
  readonly unready: () => Promise<string | undefined>
}

/** Answers what is not below `/v2`. Throws RegistryError that says where the probes and the registry are. */
export async function answerProbe(options: ProbeOptions, exchange: Exchange): Promise<void> {
  const { method, url = '' } = exchange.incoming
  const [path] = url.split('?', 1)
  const isRead = method === 'GET' || method === 'HEAD'
  if (isRead && path === '/livez') {
    exchange.subject.route = 'livez'
    return respondText(exchange, 200, 'ok\n')
  }
  if (isRead && path === '/readyz') {
    exchange.subject.route = 'readyz'
    const reason = await options.unready()
    return reason === undefined
      ? respondText(exchange, 200, 'ok\n')
      : respondText(exchange, 503, `not ready: ${reason}\n`)
  }
  throw notFound(options.book)
}

function respondText(exchange: Exchange, status: number, text: string): void {
  const length = String(Buffer.byteLength(text))
  const headers = { 'content-type': 'text/plain;charset=UTF-8', 'content-length': length }
  respond(exchange, status, headers, text)
}

function notFound({ basePath }: AddressBook): RegistryError {
  const detail = `there is nothing here; the registry is at ${basePath}/v2/, the probes are /livez and /readyz`
  return new RegistryError('UNSUPPORTED', detail, { status: 404 })
}
