import type { Tree } from './tree.ts'
import { MAX_DEPTH, UnreadableDocument } from './tree.ts'

/** More than 128 MiB of what a cluster says of itself: each takes some hundred bytes of memory. */
const MAX_VALUES = 4_000_000

/**
 * JSON with the lines of its values: one value, or several after each other, as `jq` and `kubectl` print
 * them. What a cluster says of itself is too large for a YAML parser. Throws UnreadableDocument.
 */
export function* parseJsonDocuments(text: string): Generator<Tree> {
  const reader = new Reader(text)
  while (!reader.atEnd()) yield reader.value(0)
}

class Reader {
  readonly #text: string
  #at = 0
  #line = 1
  #values = 0

  constructor(text: string) {
    this.#text = text
  }

  atEnd(): boolean {
    this.#skipSpace()
    return this.#at >= this.#text.length
  }

  value(depth: number): Tree {
    if (depth > MAX_DEPTH) throw this.#fault(`it is nested deeper than ${MAX_DEPTH} levels`)
    this.#values += 1
    if (this.#values > MAX_VALUES) {
      const limit = MAX_VALUES.toLocaleString('en-US')
      throw this.#fault(`it has more than ${limit} values: split it`)
    }
    this.#skipSpace()
    const line = this.#line
    switch (this.#text.charAt(this.#at)) {
      case '{':
        return { kind: 'map', line, entries: this.#entries(depth) }
      case '[':
        return { kind: 'list', line, items: this.#items(depth) }
      case '"':
        return { kind: 'scalar', line, text: this.#string(), isText: true }
      default:
        return { kind: 'scalar', line, text: this.#word(), isText: false }
    }
  }

  #entries(depth: number): Map<string, Tree> {
    const entries = new Map<string, Tree>()
    this.#at += 1
    if (this.#take('}')) return entries
    do {
      this.#skipSpace()
      if (this.#text[this.#at] !== '"') throw this.#fault('a key is expected here')
      const key = this.#string()
      if (!this.#take(':')) throw this.#fault('a colon is expected here')
      entries.set(key, this.value(depth + 1))
    } while (this.#take(','))
    if (!this.#take('}')) throw this.#fault('a comma or } is expected here')
    return entries
  }

  #items(depth: number): Tree[] {
    const items: Tree[] = []
    this.#at += 1
    if (this.#take(']')) return items
    do items.push(this.value(depth + 1))
    while (this.#take(','))
    if (!this.#take(']')) throw this.#fault('a comma or ] is expected here')
    return items
  }

  #string(): string {
    const start = this.#at
    let end = this.#text.indexOf('"', start + 1)
    while (end > 0 && this.#isEscaped(end)) end = this.#text.indexOf('"', end + 1)
    if (end < 0) throw this.#fault('the text that begins here has no end')
    this.#at = end + 1
    const quoted = this.#text.slice(start, this.#at)
    try {
      return JSON.parse(quoted) as string
    } catch {
      // Its own words quote the text, which may be a secret.
      throw this.#fault('this is no text as JSON has it')
    }
  }

  #isEscaped(quote: number): boolean {
    let slashes = 0
    while (this.#text[quote - 1 - slashes] === '\\') slashes += 1
    return slashes % 2 === 1
  }

  /** A number as it is written, `true` or `false`; nothing for null. */
  #word(): string {
    const pattern = /(?:-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null)(?![\w.])/y
    pattern.lastIndex = this.#at
    const word = pattern.exec(this.#text)?.[0]
    if (word === undefined) throw this.#fault('a value is expected here')
    this.#at += word.length
    return word === 'null' ? '' : word
  }

  #take(mark: string): boolean {
    this.#skipSpace()
    if (this.#text[this.#at] !== mark) return false
    this.#at += 1
    return true
  }

  #skipSpace(): void {
    for (; this.#at < this.#text.length; this.#at += 1) {
      const character = this.#text[this.#at]
      if (character === '\n') this.#line += 1
      else if (character !== ' ' && character !== '\t' && character !== '\r') return
    }
  }

  #fault(message: string): UnreadableDocument {
    return new UnreadableDocument(`JSON: ${message}`, this.#line)
  }
}
