import { gzipSync } from 'node:zlib'
import type { Content } from './bytes.ts'
import { bytesContent, readAll } from './bytes.ts'
import type { Answer } from './fake-answer.ts'
import { errorAnswer } from './fake-answer.ts'
import type { FaultAction } from './fault.ts'
import type { RecordedRequest } from './recorded-request.ts'

const ZEROS_BYTES = 64 * 1024

/** The answer as the fault bends it, before a byte is sent. */
export function bendAnswer(answer: Answer, action: FaultAction, request: RecordedRequest): Answer {
  const redirect = action.redirect
  const location = typeof redirect === 'function' ? redirect(request) : redirect
  const status = action.status ?? (location === undefined ? undefined : 307)
  // A 401 that is injected where there is auth comes with its challenge.
  const isChallenge = status === 401 && answer.status === 401
  const base = status === undefined || isChallenge ? answer : errorAnswer(status, 'UNKNOWN')
  const changes = { ...(location === undefined ? {} : { location }), ...action.headers }
  const bent = { ...base, headers: changedHeaders(base.headers, changes) }
  const body = bendBody(bent.body, action)
  return action.gzip === true
    ? { ...bent, body, headers: { ...bent.headers, 'content-encoding': 'gzip' } }
    : { ...bent, body }
}

function bendBody(original: Content, action: FaultAction): Content {
  let body = original
  if (action.body !== undefined) body = bytesContent(Buffer.from(action.body))
  if (action.corrupt !== undefined) {
    body = flipByte(body, action.corrupt === 'last' ? body.size - 1 : action.corrupt)
  }
  if (action.gzip === true) body = bytesContent(gzipSync(readAll(body)))
  return action.endless === true ? withoutEnd(body) : body
}

function changedHeaders(
  headers: Answer['headers'],
  changes: NonNullable<FaultAction['headers']>,
): Answer['headers'] {
  const changed = { ...headers }
  for (const [name, value] of Object.entries(changes)) {
    if (value === undefined) delete changed[name.toLowerCase()]
    else changed[name.toLowerCase()] = value
  }
  return changed
}

function flipByte(content: Content, position: number): Content {
  return {
    size: content.size,
    *read(start, end) {
      let at = start
      for (const chunk of content.read(start, end)) {
        const copy = Uint8Array.from(chunk)
        const index = position - at
        if (index >= 0 && index < copy.length) copy[index] = (copy[index] ?? 0) ^ 0xff
        at += chunk.length
        yield copy
      }
    },
  }
}

function withoutEnd(content: Content): Content {
  return {
    size: Infinity,
    *read(start) {
      if (start < content.size) yield* content.read(start, content.size)
      for (;;) yield new Uint8Array(ZEROS_BYTES)
    },
  }
}
