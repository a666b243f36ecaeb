import type { Path } from './problem.ts'
import { redactUrls } from './redact-urls.ts'

const MAX_SHOWN = 80

/** What was given, for an error message: `"5 m"`, `12`, `a list`. Never a secret. */
export function showValue(value: unknown, path: Path): string {
  if (value === undefined) return 'nothing'
  if (Array.isArray(value)) return 'a list'
  if (value === null) return 'null'
  if (typeof value === 'object') return 'a table'
  // Everything below `auth` may be a secret that is merely in the wrong place.
  if (path.includes('auth')) return `a ${typeof value}`
  if (typeof value === 'string') return JSON.stringify(shorten(redactUrls(value)))
  return typeof value === 'number' || typeof value === 'boolean'
    ? String(value)
    : `a ${typeof value}`
}

function shorten(text: string): string {
  return text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text
}
