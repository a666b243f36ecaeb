import { randomUUID } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Outcome } from '../core/outcome.ts'

/** What is said about a request once it is over: one line of the log. */
export interface RequestRecord {
  readonly id: string
  readonly method: string
  readonly client: string | undefined
  readonly userAgent: string | undefined
  /** Milliseconds from the request's head to the end of the answer, however that came. */
  readonly ms: number
  readonly status: number
  /** Bytes of the answer's body that were handed to the connection. */
  readonly bytes: number
  /** The client left, or we cut the connection, before the answer was complete. */
  readonly isCut: boolean
  readonly subject: Subject
}

export type ContentKind = 'manifest' | 'blob' | 'tags' | 'referrers'

/** What it was about, filled in as it becomes known. */
export interface Subject {
  /** Only for what is no registry request: a fixed route, never a client's words. */
  route?: string
  kind?: ContentKind
  upstream?: string
  repository?: string
  reference?: string
  outcome?: Outcome | 'denied'
  detail?: string
  error?: unknown
}

/** One request and its answer, from the first byte of the one to the last of the other. */
export class Exchange {
  readonly incoming: IncomingMessage
  readonly outgoing: ServerResponse
  readonly id = randomUUID()
  readonly subject: Subject = {}
  /** A header chose the upstream: a cache between us and the client must tell requests apart by it. */
  varies = false
  /** Bytes of body sent so far. */
  bytes = 0
  /** Made for those who ask for it: most answers are over before anyone could. */
  #left: AbortController | undefined
  #hasLeft = false
  readonly #startedAt = performance.now()
  /** Read now: a socket that was cut no longer knows its other end. */
  readonly #client: string | undefined

  constructor(
    incoming: IncomingMessage,
    outgoing: ServerResponse,
    onEnd: (record: RequestRecord) => void,
  ) {
    this.incoming = incoming
    this.outgoing = outgoing
    this.#client = incoming.socket.remoteAddress
    outgoing.once('close', () => {
      if (!outgoing.writableFinished) this.#leave()
      onEnd(this.#record())
    })
  }

  /** Aborts when the client leaves. */
  get signal(): AbortSignal {
    if (this.#left === undefined) {
      this.#left = new AbortController()
      if (this.#hasLeft) this.#left.abort(new ClientLeft())
    }
    return this.#left.signal
  }

  #leave(): void {
    this.#hasLeft = true
    this.#left?.abort(new ClientLeft())
  }

  #record(): RequestRecord {
    const { incoming, outgoing } = this
    return {
      id: this.id,
      method: incoming.method ?? '',
      client: this.#client,
      userAgent: incoming.headers['user-agent'],
      ms: performance.now() - this.#startedAt,
      status: outgoing.statusCode,
      bytes: this.bytes,
      isCut: !outgoing.writableFinished,
      subject: this.subject,
    }
  }
}

export class ClientLeft extends Error {
  override readonly name = 'ClientLeft'

  constructor() {
    super('the client closed the connection')
  }
}
