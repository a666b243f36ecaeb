import { resolve } from 'node:path'
import { readCaBundle } from './ca-bundle.ts'
import { configuredUpstreams } from './name-problems.ts'
import type { Path, Problem } from './problem.ts'
import { isTable, tableAt, valueAt } from './raw-input.ts'
import type { Secret, SecretPlace } from './secret.ts'
import { readSecret } from './secret.ts'

/** Files and variables that the configuration names: each is read once at start, to see that it can be. */
export async function fileProblems(
  input: unknown,
  place: SecretPlace,
): Promise<readonly Problem[]> {
  const checks: Promise<readonly Problem[]>[] = []
  for (const [name, entry] of Object.entries(configuredUpstreams(input))) {
    const path = ['upstreams', name]
    const ca = valueAt(entry, 'ca')
    if (typeof ca === 'string' && ca !== '') {
      checks.push(attempt([...path, 'ca'], () => readCaBundle(resolve(place.dir, ca))))
    }
    for (const [key, value] of Object.entries(tableAt(entry, 'auth'))) {
      if (!isSecret(value)) continue
      checks.push(attempt([...path, 'auth', key], () => readSecret(value, place)))
    }
  }
  return (await Promise.all(checks)).flat()
}

async function attempt(path: Path, check: () => Promise<string>): Promise<readonly Problem[]> {
  try {
    await check()
    return []
  } catch (error) {
    // The message is all that matters: it is listed with the other problems.
    return [{ path, message: error instanceof Error ? error.message : String(error) }]
  }
}

/** What the schema accepts as one: a name with other characters is its business. */
function isSecret(value: unknown): value is Secret {
  if (typeof value === 'string') return true
  if (!isTable(value)) return false
  const { env, file } = value
  return (typeof env === 'string' && /^\w+$/.test(env)) || (typeof file === 'string' && file !== '')
}
