import { configuredUpstreams } from './name-problems.ts'
import type { Problem } from './problem.ts'
import { isTable, valueAt } from './raw-input.ts'

const SHARED =
  'expected "shared", because this upstream has credentials: every client of the mirror will be able ' +
  "to read whatever they open. Write access: 'shared' if that is what you want"

const ONE_FORM = 'expected one of username and password, token, dockerConfig, or helper'

/** Keys of one upstream that do not go together, or not without each other. */
export function upstreamProblems(input: unknown): readonly Problem[] {
  const upstreams = configuredUpstreams(input)
  if (Object.keys(upstreams).length === 0 && isTable(valueAt(input, 'upstreams'))) {
    return [{ path: ['upstreams'], message: 'expected at least one upstream, got an empty table' }]
  }
  return Object.entries(upstreams).flatMap(([name, entry]) => {
    const messages = isTable(entry) ? [...keysTogether(entry), ...authKeys(entry)] : []
    return messages.map(([key, message]) => ({ path: ['upstreams', name, key], message }))
  })
}

type Found = readonly [key: string, message: string]

function keysTogether(entry: Readonly<Record<string, unknown>>): readonly Found[] {
  const found: Found[] = []
  if (entry['url'] !== undefined && entry['endpoints'] !== undefined) {
    found.push(['endpoints', 'does not go with url: list that one here too, and leave out url'])
  }
  if (entry['ca'] !== undefined && entry['insecure'] === true) {
    found.push(['ca', 'does nothing with insecure: true, which accepts any certificate'])
  }
  return found
}

function authKeys(entry: Readonly<Record<string, unknown>>): readonly Found[] {
  const auth = entry['auth']
  if (!isTable(auth)) return []
  const found: Found[] = []
  const has = (key: string) => auth[key] !== undefined
  const forms = [['username', 'password'], ['token'], ['dockerConfig'], ['helper']]
  const [form, ...others] = forms.filter((keys) => keys.some(has))
  if (form === undefined || others.length > 0 || !form.every(has)) found.push(['auth', ONE_FORM])
  if (has('server') && !has('dockerConfig') && !has('helper')) {
    found.push(['auth', 'has a server, which only dockerConfig and helper make use of'])
  }
  if (entry['access'] === undefined) found.push(['access', SHARED])
  return found
}
