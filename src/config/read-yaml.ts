import { readFile } from 'node:fs/promises'
import type { Document } from 'yaml'
import { isMap, isPair, isNode, LineCounter, parseDocument } from 'yaml'
import type { ConfigFile } from './config-file.ts'
import { UnreadableFile } from './config-file.ts'
import type { Path } from './problem.ts'

/**
 * Reads YAML, and JSON, which is YAML's stricter half: the same parser gives both of them line numbers
 * and refuses a key that is written twice. Throws UnreadableFile.
 */
export async function readYamlOrJson(path: string): Promise<ConfigFile> {
  const text = await readFile(path, 'utf8')
  const isJson = path.endsWith('.json')
  const lines = new LineCounter()
  // No pretty errors: they quote the line, and the line may hold a password.
  const document = parseDocument(text, {
    lineCounter: lines,
    prettyErrors: false,
    schema: isJson ? 'json' : 'core',
  })
  const [fault] = [...document.errors, ...document.warnings]
  if (fault !== undefined) {
    throw new UnreadableFile(`${isJson ? 'JSON' : 'YAML'}: ${withoutQuotes(fault.message)}`, {
      line: lines.linePos(fault.pos[0]).line,
      cause: fault,
    })
  }
  if (isJson && text.trim() !== '') checkJson(text)
  return {
    path,
    // An empty file, or one with comments only, is the empty configuration.
    value: toValue(document) ?? {},
    lineOf: (key) => lineOf(document, lines, key),
  }
}

/** What YAML forgives and JSON does not: comments, a last comma, text without quotes. */
function checkJson(text: string): void {
  try {
    JSON.parse(text)
  } catch (cause) {
    const line = /line (\d+)/.exec(String(cause))?.[1]
    throw new UnreadableFile('JSON: not valid; a comma too many, or a comment?', {
      line: line === undefined ? undefined : Number(line),
      cause,
    })
  }
}

function toValue(document: Document): unknown {
  try {
    return document.toJS()
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new UnreadableFile(`YAML: ${reason}`, { cause })
  }
}

function lineOf(document: Document, lines: LineCounter, path: Path): number | undefined {
  // An unknown key has no value of interest, and a missing one no place: its parent's will do.
  for (let length = path.length; length > 0; length -= 1) {
    const offset = offsetOf(document, path.slice(0, length))
    if (offset !== undefined) return lines.linePos(offset).line
  }
  return undefined
}

function offsetOf(document: Document, path: Path): number | undefined {
  const parent = document.getIn(path.slice(0, -1), true)
  const key = path.at(-1)
  const pair = isMap(parent) ? parent.items.find((item) => nameOf(item.key) === key) : undefined
  const node = isPair(pair) ? pair.key : document.getIn(path, true)
  return isNode(node) ? node.range?.[0] : undefined
}

function nameOf(key: unknown): string {
  return typeof key === 'object' && key !== null && 'value' in key ? String(key.value) : String(key)
}

function withoutQuotes(message: string): string {
  return message.replaceAll(/ ?"[\s\S]*"/g, '')
}
