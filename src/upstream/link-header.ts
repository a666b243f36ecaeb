/** RFC 8288: `<target>; rel="next"`, several of them in one line or in several. */
const LINK = /<([^<>]*)>((?:[^",<]|"[^"]*")*)/g
const MAX_LENGTH = 8 * 1024

/**
 * The query of the link to the next page, or `undefined` if there is none. Its host and path are not
 * looked at: the next page of a list is where the list is, whatever a registry behind a proxy says. As it
 * stands in the link, without the question mark; empty if the link has none.
 */
export function nextPageQuery(lines: readonly string[]): string | undefined {
  for (const line of lines) {
    if (line.length > MAX_LENGTH) continue
    for (const [, target = '', parameters = ''] of line.matchAll(LINK)) {
      if (!/;\s*rel\s*=\s*(?:"(?:[^"]*\s)?next(?:\s[^"]*)?"|next\b)/i.test(parameters)) continue
      const start = target.indexOf('?')
      return start < 0 ? '' : target.slice(start + 1)
    }
  }
  return undefined
}
