/** Control, format (bidirectional overrides), separator and lone surrogate characters. */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu

const PRINTABLE_ASCII = /^[ -~]*$/

/**
 * Text of someone else's, fit for one line of a log or a terminal: it cannot start a new line, move the
 * cursor or reverse what is next to it. At most `limit` characters, then `…`.
 */
export function printable(text: string, limit = 1000): string {
  if (text.length <= limit && PRINTABLE_ASCII.test(text)) return text
  const start = text.slice(0, limit)
  const clean = start.replaceAll(/[\t\n\r]+/g, ' ').replaceAll(UNPRINTABLE, '?')
  return text.length > limit ? `${clean}…` : clean
}
