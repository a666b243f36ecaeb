import type { IncomingMessage } from 'node:http'
import { Memo } from '../core/memo.ts'
import { RegistryError } from '../oci/registry-error.ts'
import type { AddressBook } from './address-book.ts'
import type { Address } from './address.ts'
import { isRegistryTarget, parseAddress } from './address.ts'
import { parseRequestHost } from './request-host.ts'
import type { RequestTarget } from './request-target.ts'
import { isPlain, readRequestTarget } from './request-target.ts'

/** Addresses kept in memory: those of the images that a cluster starts over and over. */
const MAX_KNOWN = 2_000

/** Judges requests before any router sees them, and reads their addresses. */
export class Admission {
  readonly #book: AddressBook
  /** An address depends on nothing but the target, its host and the book. */
  readonly #known = new Memo<Address | 'no registry'>(MAX_KNOWN)

  constructor(book: AddressBook) {
    this.#book = book
  }

  /** `undefined` for what is not below `/v2`. Throws RegistryError for what no answer could be right for. */
  admit(incoming: IncomingMessage): Address | undefined {
    const target = readRequestTarget(incoming)
    if (target.host.length === 0 && incoming.httpVersion !== '1.0') {
      throw new RegistryError('NAME_INVALID', 'the request has no Host header')
    }
    const { method } = incoming
    const isRead = method === 'GET' || method === 'HEAD'
    const address = isRead ? this.#read(target) : this.#refuseOthers(target)
    requireNoBody(incoming)
    return address
  }

  #read(target: RequestTarget): Address | undefined {
    const key = `${target.localPort} ${target.host[0]} ${target.target}`
    const address = isPlain(target)
      ? this.#known.recall(key, () => this.#parse(target))
      : this.#parse(target)
    return address === 'no registry' ? undefined : address
  }

  #parse(target: RequestTarget): Address | 'no registry' {
    if (isRegistryTarget(target.target, this.#book)) return parseAddress(target, this.#book)
    parseRequestHost(target.host)
    return 'no registry'
  }

  #refuseOthers(target: RequestTarget): undefined {
    if (isRegistryTarget(target.target, this.#book)) {
      const detail = 'this is a read-only mirror: push to the registry itself'
      throw new RegistryError('UNSUPPORTED', detail)
    }
    parseRequestHost(target.host)
  }
}

/** A body on a GET is how requests are smuggled past one of two servers; no client of ours sends one. */
function requireNoBody({ headers }: IncomingMessage): void {
  const length = headers['content-length']
  if (headers['transfer-encoding'] === undefined && (length === undefined || length === '0')) return
  throw new RegistryError('UNSUPPORTED', 'the request has a body, and nothing here takes one', {
    status: 400,
  })
}
