import type { RecordedRequest, RequestFilter } from './recorded-request.ts'
import { matchesFilter } from './recorded-request.ts'

/** What goes wrong. The fields combine; bytes are counted in the body as it is sent. */
export interface FaultAction {
  // Before the answer.
  /** Milliseconds to wait first. */
  readonly delay?: number
  /** Waits until this settles. */
  readonly until?: Promise<unknown>
  /** Never answers. */
  readonly stall?: boolean
  /** Closes the connection without an answer. */
  readonly hangUp?: Ending
  /** Written to the socket as it is, instead of an answer; then FIN. */
  readonly raw?: string | Uint8Array

  // The answer.
  /** With an error body of the specification, unless `body` gives another. */
  readonly status?: number
  /** Added or replaced; `undefined` takes one away. */
  readonly headers?: Readonly<Record<string, string | readonly string[] | undefined>>
  readonly body?: string | Uint8Array
  /** Adds `Location`; `status` is 307 unless given. */
  readonly redirect?: string | ((request: RecordedRequest) => string)
  /** Answers a ranged request with 200 and the whole. */
  readonly ignoreRange?: boolean
  /** Flips one byte: the one at this position, or the last one. */
  readonly corrupt?: number | 'last'
  /** Compresses the body and says so. */
  readonly gzip?: boolean
  /** The body, then zeros until the client leaves. Chunked unless `length` says otherwise. */
  readonly endless?: boolean
  /** The Content-Length that is claimed, or none: chunked, or delimited by closing. */
  readonly length?: number | 'chunked' | 'close'

  // The delivery.
  /** Cuts the connection after so many bytes. */
  readonly cut?: { readonly after: number; readonly how: Ending }
  /** Sends so many bytes, then nothing more. */
  readonly stallAfter?: number
  readonly hold?: Hold
  /** Sends the body in pieces, so many milliseconds apart. */
  readonly drip?: { readonly bytes: number; readonly everyMs: number }
  /** Written to the socket as it is, before the answer (103 Early Hints, garbage). */
  readonly rawBefore?: string
  /** Written to the kept-alive connection after the answer. */
  readonly rawAfter?: { readonly bytes: string; readonly delay?: number }
}

type Ending = 'fin' | 'reset'

/** Sends so many bytes, says so, and waits. */
export interface Hold {
  readonly after: number
  readonly until: Promise<unknown>
  readonly reached?: () => void
}

/**
 * Applies to requests that match and that the fake would not have challenged. The first fault in the
 * order of injection that still has `times` left is the one that happens, so that two faults with
 * `times: 1` are a sequence.
 */
export interface Fault extends RequestFilter {
  /** How many requests let pass first. Default none. */
  readonly skip?: number
  /** How many requests to meet. Default all. */
  readonly times?: number
  readonly action: FaultAction
}

export interface Injection {
  /** How many requests met it so far. */
  readonly hits: number
  remove(): void
}

/** The faults of one fake, in order. */
export class Faults {
  #active: { hits: number; passed: number; fault: Fault }[] = []

  inject(fault: Fault): Injection {
    const entry = { hits: 0, passed: 0, fault }
    this.#active.push(entry)
    return {
      get hits() {
        return entry.hits
      },
      remove: () => {
        this.#active = this.#active.filter((other) => other !== entry)
      },
    }
  }

  clear(): void {
    this.#active = []
  }

  take(request: RecordedRequest): FaultAction {
    for (const entry of this.#active) {
      const { skip = 0, times = Infinity, action, ...filter } = entry.fault
      if (entry.hits >= times || !matchesFilter(request, filter)) continue
      if (entry.passed < skip) {
        entry.passed += 1
        continue
      }
      entry.hits += 1
      return action
    }
    return {}
  }
}
