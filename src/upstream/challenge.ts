/** RFC 9110 §11.6.1. Names are in lower case; of two parameters with one name the first counts. */
export interface Challenge {
  readonly scheme: string
  readonly parameters: ReadonlyMap<string, string>
}

/** Characters of all `WWW-Authenticate` lines together; a registry needs a few hundred. */
const MAX_LENGTH = 8 * 1024

/**
 * Every challenge in every header line, in order. By hand and in one pass, because a header that an
 * upstream chooses must not be able to cost more than its length. What does not parse ends its line:
 * what came before it counts.
 */
export function parseChallenges(lines: readonly string[]): readonly Challenge[] {
  const length = lines.reduce((sum, line) => sum + line.length, 0)
  return length > MAX_LENGTH ? [] : lines.flatMap(parseLine)
}

/** Bearer before Basic, wherever they stand: a token is worth less to a thief than a password. */
export function pickChallenge(challenges: readonly Challenge[]): Challenge | undefined {
  const bearer = challenges.find(({ scheme, parameters }) => {
    return scheme === 'bearer' && parameters.has('realm')
  })
  return bearer ?? challenges.find(({ scheme }) => scheme === 'basic')
}

export function asksForToken(lines: readonly string[]): boolean {
  return pickChallenge(parseChallenges(lines))?.scheme === 'bearer'
}

interface Cursor {
  readonly text: string
  at: number
}

function parseLine(text: string): Challenge[] {
  const cursor: Cursor = { text, at: 0 }
  const challenges: { scheme: string; parameters: Map<string, string> }[] = []
  for (;;) {
    skip(cursor, isSeparator)
    const name = take(cursor, isTokenChar).toLowerCase()
    if (name === '') return challenges
    const open = challenges.at(-1)
    if (open !== undefined && takeEquals(cursor)) {
      const value = takeValue(cursor)
      if (value === undefined) return challenges
      if (!open.parameters.has(name)) open.parameters.set(name, value)
    } else {
      challenges.push({ scheme: name, parameters: new Map() })
      skipToken68(cursor)
    }
  }
}

/** `=` with optional blanks. Without one the cursor stays: the name was the next challenge's scheme. */
function takeEquals(cursor: Cursor): boolean {
  const start = cursor.at
  skip(cursor, isBlank)
  if (cursor.text[cursor.at] === '=') {
    cursor.at += 1
    skip(cursor, isBlank)
    return true
  }
  cursor.at = start
  return false
}

function takeValue(cursor: Cursor): string | undefined {
  if (cursor.text[cursor.at] === '"') return takeQuoted(cursor)
  const value = take(cursor, isTokenChar)
  return value === '' ? undefined : value
}

/** RFC 9110 §5.6.4. `undefined` if the quote never closes. */
function takeQuoted(cursor: Cursor): string | undefined {
  const { text } = cursor
  let value = ''
  for (let at = cursor.at + 1; at < text.length; at += 1) {
    if (text[at] === '"') {
      cursor.at = at + 1
      return value
    }
    if (text[at] === '\\') at += 1
    value += text[at] ?? ''
  }
  return undefined
}

/** `Negotiate YIIB==`: one blob instead of parameters. It is one only if the challenge ends after it. */
function skipToken68(cursor: Cursor): void {
  const start = cursor.at
  skip(cursor, isBlank)
  const blob = take(cursor, isToken68Char)
  skip(cursor, (char) => char === '=')
  skip(cursor, isBlank)
  const next = cursor.text[cursor.at]
  if (blob === '' || (next !== undefined && next !== ',')) cursor.at = start
}

function take(cursor: Cursor, accepts: (char: string) => boolean): string {
  const start = cursor.at
  skip(cursor, accepts)
  return cursor.text.slice(start, cursor.at)
}

function skip(cursor: Cursor, accepts: (char: string) => boolean): void {
  for (;;) {
    const char = cursor.text[cursor.at]
    if (char === undefined || !accepts(char)) return
    cursor.at += 1
  }
}

function isBlank(char: string): boolean {
  return char === ' ' || char === '\t'
}

function isSeparator(char: string): boolean {
  return char === ',' || isBlank(char)
}

function isTokenChar(char: string): boolean {
  return /[!#$%&'*+.^_`|~0-9A-Za-z-]/.test(char)
}

function isToken68Char(char: string): boolean {
  return /[0-9A-Za-z._~+/-]/.test(char)
}
