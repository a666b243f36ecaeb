/** People put passwords and signatures into URLs; what stands where they do is not repeated. */
export function redactUrls(text: string): string {
  const withoutQuery = text.includes('://') ? text.replace(/[?#].*$/s, '?<redacted>') : text
  return withoutQuery.replace(/^([a-zA-Z][a-zA-Z+.-]*:\/\/)?.*@/s, '$1<redacted>@')
}
