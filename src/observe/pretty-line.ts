import prettyBytes from 'pretty-bytes'
import { printable } from './printable.ts'

type Fields = Readonly<Record<string, unknown>>

/** What every line has, and the pretty printer shows by itself. */
const COMMON = new Set(['level', 'time', 'msg'])
/** What a request's own part of the line says already. */
const SHOWN = new Set([
  'method',
  'route',
  'upstream',
  'repository',
  'reference',
  'outcome',
  'status',
  'bytes',
  'ms',
])

/**
 * The text of a line on a terminal: `request answered  GET docker.io/library/alpine:3  hit 200  1.2 kB
 * 3 ms  requestId=…`. Every value passes `printable` once more: a terminal obeys what it is sent.
 */
export function prettyLine(fields: Fields): string {
  const isRequest = typeof fields['method'] === 'string' && typeof fields['status'] === 'number'
  const rest = Object.entries(fields)
    .filter(([name]) => !COMMON.has(name) && !(isRequest && SHOWN.has(name)))
    .map(([name, value]) => `${printable(name)}=${showValue(value)}`)
    .join(' ')
  const parts = [text(fields['msg']), ...(isRequest ? describeRequest(fields) : []), rest]
  const line = parts.filter((part) => part !== '').join('  ')
  return [line, ...framesOf(fields['error'])].join('\n    ')
}

function describeRequest(fields: Fields): readonly string[] {
  const reference = text(fields['reference'])
  const image = words('/', fields['route'], fields['upstream'], fields['repository'])
  const name =
    reference === '' ? image : `${image}${reference.includes(':') ? '@' : ':'}${reference}`
  const { bytes, ms } = fields
  return [
    words(' ', fields['method'], name),
    words(' ', fields['outcome'], fields['status']),
    words(
      ' ',
      typeof bytes === 'number' ? prettyBytes(bytes) : '',
      ms,
      ms === undefined ? '' : 'ms',
    ),
  ]
}

function showValue(value: unknown): string {
  if (isError(value)) return quote(describeError(value))
  if (typeof value !== 'string') return printable(JSON.stringify(value) ?? '')
  return /^[\w.:@/+-]+$/.test(value) ? value : quote(printable(value))
}

/** `Error: fetch failed ← ConnectTimeoutError: no answer (UND_ERR_CONNECT_TIMEOUT)`. */
function describeError(error: Fields): string {
  const { cause } = error
  const code = text(error['code'])
  // A wrapper often has only a code of its own to add.
  const isRepeated = isError(cause) && cause['message'] === error['message']
  const message = isRepeated ? '' : `: ${text(error['message'])}`
  const own = `${text(error['name'])}${message}${code && ` (${code})`}`
  return isError(cause) ? `${own} ← ${describeError(cause)}` : own
}

function framesOf(error: unknown): readonly string[] {
  if (!isError(error)) return []
  const { stack, cause } = error
  return [...(Array.isArray(stack) ? stack.map(text) : []), ...framesOf(cause)]
}

function isError(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && 'name' in value && 'message' in value
}

function words(separator: string, ...values: readonly unknown[]): string {
  return values
    .map(text)
    .filter((word) => word !== '')
    .join(separator)
}

function text(value: unknown): string {
  return typeof value === 'string' || typeof value === 'number' ? printable(String(value)) : ''
}

function quote(value: string): string {
  return `"${value.replaceAll('"', "'")}"`
}
