/** What a text becomes with its variables filled in, or why it does not. */
export type Interpolated = { readonly text: string } | { readonly reason: string }

export type Variables = Readonly<Record<string, string | undefined>>

/** Longer than any reference with its defaults; the defaults may be nested. */
const MAX_LENGTH = 4096
const MAX_DEPTH = 8

/**
 * Fills in variables as compose does: `$VAR`, `${VAR}`, `${VAR:-default}`, `${VAR-default}`, `${VAR:+other}`,
 * `${VAR+other}`, `${VAR:?error}`, `${VAR?error}`; `$$` is a dollar. One without a value is a reason, where
 * compose would take it for empty: an image without its tag is another image.
 */
export function interpolate(text: string, variables: Variables, depth = 0): Interpolated {
  if (text.length > MAX_LENGTH || depth > MAX_DEPTH) return { reason: 'its variables go too deep' }
  let result = ''
  let rest = text
  for (let dollar = rest.indexOf('$'); dollar >= 0; dollar = rest.indexOf('$')) {
    result += rest.slice(0, dollar)
    rest = rest.slice(dollar)
    const found = readVariable(rest)
    if (found === undefined) return { reason: 'it has a $ that is no variable' }
    rest = rest.slice(found.length)
    const filled = 'dollar' in found ? { text: '$' } : fill(found, variables, depth)
    if ('reason' in filled) return filled
    result += filled.text
    // Each value may be long, and there may be a thousand of them.
    if (result.length > MAX_LENGTH) return { reason: 'with its variables filled in it is too long' }
  }
  return { text: result + rest }
}

interface Variable {
  readonly length: number
  readonly name: string
  /** `:-`, `-`, `:+`, `+`, `:?`, `?` or nothing, and what comes after it. */
  readonly operator: string
  readonly operand: string
}

/** At the start of the text. */
function readVariable(text: string): Variable | { length: number; dollar: true } | undefined {
  if (text.startsWith('$$')) return { length: 2, dollar: true }
  const [plain = '', plainName = ''] = /^\$([A-Za-z_]\w*)/.exec(text) ?? []
  if (plain !== '') return { length: plain.length, name: plainName, operator: '', operand: '' }
  const [head = '', name = '', operator = ''] =
    /^\$\{([A-Za-z_]\w*)(:?[-+?]|(?=\}))/.exec(text) ?? []
  const end = head === '' ? -1 : closing(text, head.length)
  if (end < 0) return undefined
  return { length: end + 1, name, operator, operand: text.slice(head.length, end) }
}

/** The brace that ends it: a default may have variables of its own. */
function closing(text: string, from: number): number {
  let open = 1
  for (let at = from; at < text.length; at += 1) {
    if (text[at] === '}') open -= 1
    else if (text[at] === '{' && text[at - 1] === '$') open += 1
    if (open === 0) return at
  }
  return -1
}

function fill(
  { name, operator, operand }: Variable,
  variables: Variables,
  depth: number,
): Interpolated {
  const value = Object.hasOwn(variables, name) ? variables[name] : undefined
  const isThere = operator.startsWith(':')
    ? value !== undefined && value !== ''
    : value !== undefined
  if (operator.endsWith('+'))
    return isThere ? interpolate(operand, variables, depth + 1) : { text: '' }
  if (isThere && value !== undefined && value !== '') return { text: value }
  if (operator.endsWith('-')) {
    return isThere ? { text: '' } : interpolate(operand, variables, depth + 1)
  }
  return { reason: `$${name} has no value here` }
}
