import { isSecretName, redactError, redactText, redactUrl } from './redact.ts'

const MAX_DEPTH = 4
const MAX_ENTRIES = 50
const REDACTED = '<redacted>'
const HEADER_FIELDS = /^(?:raw)?(?:headers|trailers)$/i

/**
 * What a log line may hold of a value. An allow-list by type: texts are redacted, plain objects and
 * arrays are walked, and anything else (a request, a response, a socket, Headers) prints as its class.
 * pino's own `redact` works by path and misses other letters, nested objects and header arrays.
 */
export function loggable(value: unknown, depth = 0): unknown {
  if (typeof value === 'string') return redactText(value)
  if (typeof value === 'number' || typeof value === 'boolean' || value === null) return value
  if (typeof value === 'bigint') return String(value)
  if (typeof value !== 'object') return undefined
  if (value instanceof Error) return redactError(value)
  if (value instanceof URL) return redactUrl(value)
  if (value instanceof Date) return value.toJSON()
  if (Array.isArray(value)) return depth < MAX_DEPTH ? loggableList(value, depth) : '<array>'
  if (!isPlain(value)) return `<${value.constructor.name}>`
  return depth < MAX_DEPTH ? loggableFields(value, depth) : '<object>'
}

/** The fields of a log line or of a plain object inside one. */
export function loggableFields(fields: object, depth = 0): Record<string, unknown> {
  const entries = Object.entries(fields).slice(0, MAX_ENTRIES)
  return Object.fromEntries(
    entries.map(([name, value]) => {
      const isSecret = HEADER_FIELDS.test(name) || isSecretName(name)
      const isHidden = isSecret && typeof value !== 'number' && typeof value !== 'boolean'
      return [redactText(name), isHidden ? REDACTED : loggable(value, depth + 1)]
    }),
  )
}

/** In a list of raw header lines a secret's name stands right before its value. */
function loggableList(values: readonly unknown[], depth: number): unknown[] {
  return values.slice(0, MAX_ENTRIES).map((value, index) => {
    const before = values[index - 1]
    const isNamed = typeof before === 'string' && /^[\w-]+$/.test(before) && isSecretName(before)
    return isNamed ? REDACTED : loggable(value, depth + 1)
  })
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === null || prototype === Object.prototype
}
