import { RegistryError } from '../oci/registry-error.ts'
import { quoteInput } from './quote-input.ts'

/** A request target taken apart without any normalisation. */
export interface RawTarget {
  /** The path's segments after its first `/`, with `%3A` decoded: `/v2/` → `['v2', '']`. */
  readonly segments: readonly string[]
  /** The text after `?`, still encoded; `undefined` if there is no `?`. */
  readonly query: string | undefined
}

/** Bytes. A name of 255, a sha512 digest, a prefix and every parameter we know fit in four times over. */
const MAX_TARGET_LENGTH = 8192
/** Visible ASCII, less what RFC 3986 allows in no URL at all. */
const URL_CHARACTERS = /^[!$%&'()*+,./0-9:;=?@A-Z[\]_a-z~-]+$/

/**
 * Takes the target apart as it came over the wire. Whatever another layer might read differently from
 * us (an escape, a dot segment, an empty segment, a whole URL) is refused and not mended: normalising
 * is how a filter in front and a router behind come to disagree about what was asked for.
 *
 * Throws RegistryError NAME_INVALID (400).
 */
export function parseRawTarget(target: string): RawTarget {
  if (target.length > MAX_TARGET_LENGTH) {
    throw refused(`is longer than ${MAX_TARGET_LENGTH} bytes`, target)
  }
  if (!target.startsWith('/')) throw refused('is not a path that starts with "/"', target)
  if (!URL_CHARACTERS.test(target)) {
    throw refused('has a character that no URL may contain unescaped', target)
  }
  const mark = target.indexOf('?')
  const path = mark < 0 ? target : target.slice(0, mark)
  return {
    segments: parseSegments(path, target),
    query: mark < 0 ? undefined : target.slice(mark + 1),
  }
}

function parseSegments(path: string, target: string): readonly string[] {
  const decoded = path.replaceAll(/%3a/gi, ':')
  if (decoded.includes('%')) throw refused('has an escape other than "%3A" in its path', target)
  const segments = decoded.slice(1).split('/')
  if (segments.slice(0, -1).includes('')) throw refused('has an empty path segment', target)
  if (segments.includes('.') || segments.includes('..')) {
    throw refused('has a "." or ".." path segment', target)
  }
  return segments
}

function refused(fault: string, target: string): RegistryError {
  return new RegistryError('NAME_INVALID', `the request target ${quoteInput(target)} ${fault}`)
}
