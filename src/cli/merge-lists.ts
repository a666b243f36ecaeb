/**
 * JSON text with the entries at the front of its lists, and everything else as it was. Without a text,
 * or with an empty one, nothing but the lists. Throws an Error that says what is wrong with the text.
 */
export function mergeLists(
  text: string | undefined,
  lists: Readonly<Record<string, readonly string[]>>,
): string {
  const present = parseObject(text ?? '')
  const merged = Object.entries(lists).map(([key, entries]): [string, unknown] => {
    const known: unknown = present[key] ?? []
    if (!Array.isArray(known)) throw new Error(`"${key}" in it is not a list`)
    return [key, [...new Set([...entries, ...known])]]
  })
  const indent = /^[{\s]*?\n([ \t]+)"/.exec(text ?? '')?.[1] ?? '  '
  const all = { ...present, ...Object.fromEntries(merged) }
  return `${JSON.stringify(all, null, indent)}\n`
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
