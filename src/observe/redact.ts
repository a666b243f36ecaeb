import { printable } from './printable.ts'

/** Characters that are looked at; the rest is not printed either. */
const MAX_TEXT = 2000
const MAX_PLAIN = 1000
const MAX_CAUSES = 5
const MAX_PARTS = 3
const MAX_FRAMES = 10
const REDACTED = '<redacted>'

/** Names of fields, headers and parameters whose values are secrets. */
const SECRET_NAME =
  /authorization|cookie|passw|passphrase|token|secret|credential|signature|api-?key|^sig$|^x-amz-/i

const URL_IN_TEXT = /[a-z][a-z0-9+.-]{0,20}:\/\/\S+/gi
/** The query of a path without an origin: `GET /v2/x?X-Amz-Signature=… failed`. */
const QUERY_IN_TEXT = /\?[^\s?=]*=\S*/g
const CREDENTIAL_IN_TEXT = /\b(bearer|basic|negotiate)\s+([^\s"',;]+)/gi
/** `password=…` of a form, `"token":"…"` of a JSON body, `Cookie: …` of a header. */
const PAIR_IN_TEXT = /([a-z][a-z_-]{1,40})("?\s{0,3}[=:]\s{0,3}"?)([^\s"&,;]+)/gi
const HOST_AND_PORT = /^(?:[\w.-]+|\[[\da-f:.]+\])(?::\d+)?$/i
/** Nearly every text that is logged: plain ASCII in which no URL, query, pair or credential can be. */
const PLAIN = /^[\w.:@/+,;() -]*$/
const SUSPICIOUS = /:\/\/|:\s|bearer|basic|negotiate/i

/** An error as a log line may carry it: a typed allow-list, because errors carry headers and sockets. */
export interface LoggedError {
  readonly name: string
  readonly message: string
  readonly code?: string | number
  /** Only for faults of our own code. */
  readonly stack?: readonly string[]
  readonly cause?: LoggedError
  /** Of an AggregateError: one per address that was tried. */
  readonly errors?: readonly LoggedError[]
}

/**
 * The one way to print a URL: origin and path. No userinfo, query or fragment: a presigned URL's query
 * is a credential. Never throws; a text that is no URL is not printed at all.
 */
export function redactUrl(url: URL | string): string {
  const parsed = typeof url === 'string' ? URL.parse(url) : url
  if (parsed === null) return '<invalid URL>'
  return printable(`${parsed.protocol}//${parsed.host}${parsed.pathname}`)
}

/** Text that may hold URLs, credentials or parameters, in one printable line of at most 1,000 characters. */
export function redactText(text: string): string {
  if (text.length <= MAX_PLAIN && PLAIN.test(text) && !SUSPICIOUS.test(text)) return text
  const start = text.slice(0, MAX_TEXT)
  const redacted = start
    .replaceAll(URL_IN_TEXT, redactUrlInText)
    .replaceAll(QUERY_IN_TEXT, `?${REDACTED}`)
    .replaceAll(CREDENTIAL_IN_TEXT, (whole, scheme: string, value: string) =>
      looksLikeCredential(value) ? `${scheme} ${REDACTED}` : whole,
    )
    .replaceAll(PAIR_IN_TEXT, (whole, name: string, separator: string) =>
      isSecretPair(name, separator) ? `${name}${separator}${REDACTED}` : whole,
    )
  return printable(redacted)
}

/** Name, message, code and causes, without anything secret. Accepts whatever was thrown. */
export function redactError(error: unknown): LoggedError {
  return redactCause(error, MAX_CAUSES)
}

export function isSecretName(name: string): boolean {
  return SECRET_NAME.test(name)
}

function redactCause(error: unknown, depth: number): LoggedError {
  if (!(error instanceof Error)) {
    const message = typeof error === 'string' ? redactText(error) : `<${typeof error}>`
    return { name: 'thrown value', message }
  }
  const code = readCode(error)
  const isOurFault = OUR_FAULTS.has(error.name) && typeof error.stack === 'string'
  return {
    name: redactText(error.name),
    message: redactText(error.message),
    ...(code === undefined ? {} : { code }),
    ...(isOurFault ? { stack: readFrames(error.stack ?? '') } : {}),
    ...(depth > 1 ? redactReasons(error, depth - 1) : {}),
  }
}

function redactReasons(error: Error, depth: number): Pick<LoggedError, 'cause' | 'errors'> {
  const parts = error instanceof AggregateError ? error.errors.slice(0, MAX_PARTS) : []
  return {
    ...(parts.length > 0 ? { errors: parts.map((part) => redactCause(part, depth)) } : {}),
    ...(error.cause === undefined ? {} : { cause: redactCause(error.cause, depth) }),
  }
}

/** A frame helps where the code itself is wrong; for everything expected the message has to do. */
const OUR_FAULTS = new Set([
  'AssertionError',
  'RangeError',
  'ReferenceError',
  'SyntaxError',
  'TypeError',
])

function readFrames(stack: string): readonly string[] {
  const frames = stack.split('\n').filter((line) => /^\s+at /.test(line))
  return frames.slice(0, MAX_FRAMES).map((frame) => redactText(frame.trim()))
}

function readCode(error: Error): string | number | undefined {
  const code: unknown = 'code' in error ? error.code : undefined
  if (typeof code === 'number') return code
  return typeof code === 'string' ? redactText(code.slice(0, 64)) : undefined
}

function redactUrlInText(text: string): string {
  const start = text.indexOf('://') + 3
  const scheme = text.slice(0, start)
  const rest = text.slice(start)
  const end = rest.search(/[/?#]/)
  const authority = end < 0 ? rest : rest.slice(0, end)
  const closing = /["'`)>\],.;:]{0,5}$/.exec(text)?.[0] ?? ''
  const host = authority.slice(authority.lastIndexOf('@') + 1)
  const bareHost = end < 0 ? host.slice(0, host.length - closing.length) : host
  // `user:pa/ss@host`: an unescaped password made the authority end too early.
  if (!HOST_AND_PORT.test(bareHost) && host !== '') return `${scheme}${REDACTED}`
  if (end < 0) return `${scheme}${host}`
  const path = /^[^?#]*/.exec(rest.slice(end))?.[0] ?? ''
  const isCut = path.length < rest.length - end
  return isCut ? `${scheme}${host}${path}${closing}` : `${scheme}${host}${path}`
}

/** `token: expired` is a sentence, `"token": "…"`, `token=…` and `Cookie: …` are not. */
function isSecretPair(name: string, separator: string): boolean {
  if (!isSecretName(name)) return false
  return separator.trim() !== ':' || /authorization|cookie|passw|secret|api-?key/i.test(name)
}

/** `Basic auth failed` is a sentence, `Basic dXNlcjpwYXNz` is not. */
function looksLikeCredential(word: string): boolean {
  return word.length >= 20 || /[A-Z0-9+/=._~]/.test(word.replace(/\.$/, ''))
}
