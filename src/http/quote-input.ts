const MAX_QUOTED = 100

/**
 * Something that a client wrote, fit for an error message: at most 100 characters of printable ASCII,
 * so that neither a terminal nor a log nor a JSON reader is told anything else by it.
 */
export function quoteInput(text: string): string {
  const start = text.slice(0, MAX_QUOTED).replaceAll(/[^ !#-[\]-~]/g, '?')
  return text.length > MAX_QUOTED ? `"${start}…"` : `"${start}"`
}
