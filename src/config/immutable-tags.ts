import picomatch from 'picomatch'

type Glob = (text: string) => boolean

/**
 * Compiles `tags.immutable`. `v*` is about the tag alone. A pattern with a `:` is `repository:tag`, and
 * one with a `/` only is a repository with all its tags: `acme/app:release-*`, `acme/**:v*`,
 * `library/**`. `*` stops at a `/`, and `**` does not.
 */
export function compileImmutableTags(
  patterns: readonly string[],
): (repository: string, tag: string) => boolean {
  const rules = patterns.map((pattern) => compile(pattern))
  return (repository, tag) =>
    rules.some((rule) => rule.matchesTag(tag) && rule.matchesRepository(repository))
}

/** The two sides are matched apart, because `**` means "at any depth" only where it is a whole segment. */
function compile(pattern: string): { readonly matchesRepository: Glob; readonly matchesTag: Glob } {
  const colon = pattern.lastIndexOf(':')
  if (colon >= 0) {
    return {
      matchesRepository: glob(pattern.slice(0, colon)),
      matchesTag: glob(pattern.slice(colon + 1)),
    }
  }
  return pattern.includes('/')
    ? { matchesRepository: glob(pattern), matchesTag: () => true }
    : { matchesRepository: () => true, matchesTag: glob(pattern) }
}

function glob(pattern: string): Glob {
  return picomatch(pattern, { dot: true, nonegate: true })
}

/** What makes a pattern one that can match; both sides of the `:` have to say something. */
export function isImmutablePattern(pattern: string): boolean {
  return (
    pattern !== '' && pattern.length <= 300 && !pattern.startsWith(':') && !pattern.endsWith(':')
  )
}
