import type { Content } from './bytes.ts'
import { bytesContent } from './bytes.ts'

/** What the fake would say if nothing were wrong. */
export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | readonly string[]>>
  readonly body: Content
}

export function textAnswer(status: number, contentType: string, text: string): Answer {
  const headers = { 'content-type': contentType }
  return { status, headers, body: bytesContent(Buffer.from(text)) }
}

export function jsonAnswer(status: number, value: unknown): Answer {
  return textAnswer(status, 'application/json', JSON.stringify(value))
}

/** distribution-spec "Error Codes". */
export function errorAnswer(status: number, code: string): Answer {
  return jsonAnswer(status, { errors: [{ code, message: `the fake says ${code}` }] })
}

/**
 * RFC 9110 §14: the part that a single range asks for. Anything else, several ranges among it, is
 * answered with the whole.
 */
export function rangeAnswer(answer: Answer, range: string | undefined): Answer {
  const [, first = '', last = ''] = /^bytes=(\d*)-(\d*)$/.exec(range ?? '') ?? []
  if (answer.status !== 200 || first + last === '') return answer
  const { size } = answer.body
  const start = first === '' ? Math.max(0, size - Number(last)) : Number(first)
  const end = first === '' || last === '' ? size : Math.min(size, Number(last) + 1)
  const headers = (value: string) => ({ ...answer.headers, 'content-range': value })
  if (start >= end) {
    return { ...errorAnswer(416, 'SIZE_INVALID'), headers: headers(`bytes */${size}`) }
  }
  const body = slice(answer.body, start, end)
  return { status: 206, headers: headers(`bytes ${start}-${end - 1}/${size}`), body }
}

function slice(content: Content, from: number, to: number): Content {
  return { size: to - from, read: (start, end) => content.read(from + start, from + end) }
}
