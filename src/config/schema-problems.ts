import type * as z from 'zod'
import { didYouMean } from './did-you-mean.ts'
import { knownKeys } from './json-schema.ts'
import type { Path, Problem } from './problem.ts'
import { settingsSchema } from './settings.ts'
import { showValue } from './show-value.ts'

type Issue = z.core.$ZodIssue

const TYPE_NAMES: ReadonlyMap<string, string> = new Map([
  ['array', 'a list'],
  ['boolean', 'true or false'],
  ['object', 'a table'],
  ['record', 'a table'],
  ['string', 'a text'],
])

/** Everything that the schema alone finds wrong: unknown keys, wrong types, texts with a wrong grammar. */
export function schemaProblems(input: unknown): readonly Problem[] {
  const result = settingsSchema.safeParse(input)
  if (result.success) return []
  return result.error.issues.flatMap((issue) => toProblems(issue, input))
}

function toProblems(issue: Issue, input: unknown): readonly Problem[] {
  const path = issue.path.map((key) => (typeof key === 'symbol' ? String(key) : key))
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => unknownKey(key, path))
  }
  const given = valueAt(input, path)
  const got = `got ${showValue(given, path)}`
  if (issue.code === 'invalid_value') {
    const choices = issue.values.map(String)
    const hint = typeof given === 'string' ? didYouMean(given, choices) : ''
    return [{ path, message: `expected ${listChoices(choices)}, ${got}${hint}` }]
  }
  const hint = given === null && isTableExpected(issue) ? ': write {} for all defaults' : ''
  return [{ path, message: `${expectation(issue)}, ${got}${hint}` }]
}

function unknownKey(key: string, parent: Path): Problem {
  const known = knownKeys(parent)
  const hint = didYouMean(key, known) || ` (known here: ${known.join(', ')})`
  return { path: [...parent, key], message: `unknown key${hint}` }
}

function expectation(issue: Issue): string {
  // The schema's own sentences begin like this; zod's do not.
  if (issue.message.startsWith('expected ')) return issue.message
  if (issue.code !== 'invalid_type') return issue.message
  return `expected ${TYPE_NAMES.get(issue.expected) ?? issue.expected}`
}

/** In YAML a key with nothing behind it is null, and looks as if it meant the defaults. */
function isTableExpected(issue: Issue): boolean {
  return issue.code === 'invalid_type' && ['object', 'record'].includes(issue.expected)
}

function listChoices(choices: readonly string[]): string {
  const quoted = choices.map((choice) => JSON.stringify(choice))
  const last = quoted.pop() ?? ''
  return quoted.length === 0 ? last : `${quoted.join(', ')} or ${last}`
}

function valueAt(input: unknown, path: Path): unknown {
  let value = input
  for (const key of path) {
    if (typeof value !== 'object' || value === null) return undefined
    value = Reflect.get(value, key)
  }
  return value
}
