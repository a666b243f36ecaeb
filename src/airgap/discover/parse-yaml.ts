import type { CST, Document, ParsedNode } from 'yaml'
import { Composer, isAlias, isMap, isScalar, isSeq, Lexer, LineCounter, Parser } from 'yaml'
import type { ScalarTree, Tree } from './tree.ts'
import { MAX_DEPTH, UnreadableDocument } from './tree.ts'

/** With all aliases replaced: more than any file of a person has, fewer than a bomb. */
const MAX_NODES = 2_000_000
/** As MAX_NODES: a text that many aliases repeat is looked through as often. */
const MAX_CHARACTERS = 32 * 1024 * 1024
/** Words, marks and spaces of one document: the parser keeps a quarter of a KiB for each. */
const MAX_LEXEMES = 4_000_000
/** Of one document, which is none after the first: each is kept, with where it happened. */
const MAX_FAULTS = 100
/** Of brackets and indents that the parser has open, more than one for a level. */
const MAX_OPEN = 1000
/** The composer calls itself for each level. */
const TOO_DEEP = 'YAML: it is nested too deep'

/**
 * The documents of a YAML stream, one at a time, each a tree or the reason why it is none. What its aliases
 * stand for is shared and not copied. Keys that are no scalars are left out.
 */
export function* parseYamlDocuments(
  text: string,
  maxLexemes = MAX_LEXEMES,
): Generator<Tree | UnreadableDocument> {
  const lines = new LineCounter()
  const parser = new Parser(lines.addNewLine)
  // Charts make keys twice, and Kubernetes takes the last one.
  const composer = new Composer({ schema: 'core', uniqueKeys: false, logLevel: 'silent' })
  const faults: UnreadableDocument[] = []
  lines.addNewLine(0)
  const tokens = tokenize(text, parser, maxLexemes, (message) => {
    faults.push(new UnreadableDocument(message, lines.linePos(parser.offset).line))
  })
  try {
    for (const document of composer.compose(tokens)) {
      const result = toTree(document, lines)
      if (result !== undefined) yield result
    }
    // The composer is one document behind: what is in order before it has been given by now.
    yield* faults
  } catch (error) {
    if (error instanceof UnreadableDocument) yield error
    else if (error instanceof RangeError) yield new UnreadableDocument(TOO_DEEP)
    else throw error
  }
}

/** What `parser.parse` does, as long as there is memory for it: else `fail` is told why it ends. */
function* tokenize(
  text: string,
  parser: Parser,
  maxLexemes: number,
  fail: (message: string) => void,
): Generator<CST.Token> {
  let lexemes = 0
  let faults = 0
  for (const lexeme of new Lexer().lex(text)) {
    lexemes += 1
    for (const token of parser.next(lexeme)) {
      if (token.type === 'document') lexemes = faults = 0
      if (token.type === 'error') faults += 1
      yield token
    }
    if (parser.stack.length > MAX_OPEN) return fail(TOO_DEEP)
    if (faults > MAX_FAULTS)
      return fail(`YAML: it has more than ${MAX_FAULTS} faults: the rest was not read`)
    if (lexemes > maxLexemes) return fail(tooLarge(maxLexemes))
  }
  yield* parser.end()
}

function tooLarge(limit: number): string {
  const count = limit.toLocaleString('en-US')
  return `YAML: a document has more than ${count} words and marks: split it, or give it as JSON`
}

function toTree(document: Document, lines: LineCounter): Tree | UnreadableDocument | undefined {
  const [fault] = document.errors
  if (fault !== undefined) {
    const { line } = lines.linePos(fault.pos[0])
    if (/call stack/.test(fault.message)) return new UnreadableDocument(TOO_DEEP, line)
    return new UnreadableDocument(`YAML: ${withoutQuotes(fault.message)}`, line)
  }
  if (document.contents === null) return undefined
  try {
    return new Converter(lines).convert(document.contents as ParsedNode, 0).tree
  } catch (error) {
    if (error instanceof UnreadableDocument) return error
    throw error
  }
}

/** `nodes`, `characters` and `height` count what is below, with aliases replaced. */
interface Converted {
  readonly tree: Tree
  readonly nodes: number
  readonly characters: number
  readonly height: number
}

class Converter {
  readonly #lines: LineCounter
  readonly #anchors = new Map<string, Converted>()

  constructor(lines: LineCounter) {
    this.#lines = lines
  }

  convert(node: ParsedNode | null, depth: number): Converted {
    const line = this.#lines.linePos(node?.range[0] ?? 0).line
    const converted = this.#convert(node, line, depth)
    if (depth + converted.height > MAX_DEPTH) {
      throw new UnreadableDocument(`YAML: it is nested deeper than ${MAX_DEPTH} levels`, line)
    }
    if (converted.nodes > MAX_NODES) {
      const message = `YAML: with its aliases it has more than ${MAX_NODES.toLocaleString('en-US')} values`
      throw new UnreadableDocument(message, line)
    }
    if (converted.characters > MAX_CHARACTERS) {
      throw new UnreadableDocument('YAML: its aliases repeat more than 32 MiB', line)
    }
    if (node !== null && !isAlias(node) && node.anchor !== undefined) {
      this.#anchors.set(node.anchor, converted)
    }
    return converted
  }

  #convert(node: ParsedNode | null, line: number, depth: number): Converted {
    if (isAlias(node)) {
      // One that stands for what it is itself a part of is not there yet.
      const target = this.#anchors.get(node.source)
      if (target === undefined) throw new UnreadableDocument('YAML: an alias of nothing', line)
      return target
    }
    if (isSeq(node)) {
      const items = node.items.map((item) => this.convert(item as ParsedNode | null, depth + 1))
      return grow({ kind: 'list', line, items: items.map(({ tree }) => tree) }, items)
    }
    if (isMap(node)) {
      const pairs = node.items.flatMap(({ key, value }) =>
        isScalar(key) ? [[String(key.value), this.convert(value, depth + 1)] as const] : [],
      )
      const entries = new Map(pairs.map(([key, { tree }]) => [key, tree]))
      const below = pairs.map(([, converted]) => converted)
      const keys = pairs.reduce((sum, [key]) => sum + key.length, 0)
      return grow({ kind: 'map', line, entries: merge(entries) }, below, keys)
    }
    const tree = toScalar(node, line)
    return { tree, nodes: 1, characters: tree.text.length, height: 0 }
  }
}

function toScalar(node: ParsedNode | null, line: number): ScalarTree {
  const value = isScalar(node) ? node.value : null
  const isText = typeof value === 'string'
  // The source, because 1.10 is a tag, and 1.1 another one.
  const source = isScalar(node) ? (node.source ?? String(value)) : ''
  return { kind: 'scalar', line, text: isText ? value : value === null ? '' : source, isText }
}

/** `keys`: characters of its own. */
function grow(tree: Tree, below: readonly Converted[], keys = 0): Converted {
  let nodes = 1
  let characters = keys
  let height = 0
  for (const part of below) {
    nodes += part.nodes
    characters += part.characters
    height = Math.max(height, part.height + 1)
  }
  return { tree, nodes, characters, height }
}

/** `<<: *base`, which compose files have: what the map says itself goes before it. */
function merge(entries: Map<string, Tree>): ReadonlyMap<string, Tree> {
  const base = entries.get('<<')
  if (base === undefined) return entries
  const bases = base.kind === 'list' ? base.items : [base]
  for (const each of bases) {
    if (each.kind !== 'map') continue
    for (const [key, tree] of each.entries) if (!entries.has(key)) entries.set(key, tree)
  }
  entries.delete('<<')
  return entries
}

/** The parser's words without what it quotes, which may be a secret. */
function withoutQuotes(message: string): string {
  const [sentence = ''] = message.split('\n')
  return sentence.replace(/ at line \d+.*$/, '').replaceAll(/ ?"[\s\S]*"/g, '')
}
