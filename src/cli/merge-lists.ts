type Lists = Readonly<Record<string, readonly string[]>>

export interface Merged {
  /** `undefined`: there was no text, and there is nothing to put into one. */
  readonly text: string | undefined
  /** What the lists had besides. */
  readonly others: Lists
}

/**
 * JSON text with the entries at the front of its lists, and everything else as it was; the very text, if
 * they stand there already. Without a text, or with an empty one, nothing but the lists. Throws an Error
 * that says what is wrong with the text.
 */
export function mergeLists(text: string | undefined, lists: Lists): Merged {
  const present = parseObject(text ?? '')
  const known = Object.keys(lists).map((key) => [key, listAt(present, key)] as const)
  const others = known.map(([key, values]) => [
    key,
    values.filter((value) => lists[key]?.includes(value) === false),
  ])
  const merged = known.flatMap(([key, values]) => {
    const entries = lists[key] ?? []
    const all = [...new Set([...entries, ...values])]
    const isThere = entries.length === 0 || isSame(all, values)
    return isThere ? [] : [[key, all] as const]
  })
  const all = { ...present, ...Object.fromEntries(merged) }
  return {
    text: merged.length === 0 ? text : formatLike(text ?? '', all),
    others: Object.fromEntries(others),
  }
}

function listAt(object: Readonly<Record<string, unknown>>, key: string): readonly string[] {
  const value: unknown = object[key] ?? []
  if (Array.isArray(value)) return value
  throw new Error(`"${key}" in it is not a list`)
}

function isSame(some: readonly string[], others: readonly string[]): boolean {
  return some.length === others.length && some.every((value, index) => value === others[index])
}

/** With the indentation of the text. */
function formatLike(text: string, value: object): string {
  const indent = /^[{\s]*?\n([ \t]+)"/.exec(text)?.[1] ?? '  '
  return `${JSON.stringify(value, null, indent)}\n`
}

function parseObject(text: string): Readonly<Record<string, unknown>> {
  if (text.trim() === '') return {}
  const value: unknown = parse(text)
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value }
  throw new Error('it is not a JSON object')
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new Error('it is not JSON', { cause })
  }
}
