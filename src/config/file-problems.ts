import { resolve } from 'node:path'
import { readCaBundle } from './ca-bundle.ts'
import { findHelper, readHelperName } from './credential-helper.ts'
import { dockerServer, readDockerConfig } from './docker-config.ts'
import { configuredUpstreams } from './name-problems.ts'
import type { Path, Problem } from './problem.ts'
import { isTable, tableAt, valueAt } from './raw-input.ts'
import type { Secret, SecretPlace } from './secret.ts'
import { readSecret } from './secret.ts'

/**
 * Files and variables that the configuration names: each is read once at start, to see that it can be. An
 * upstream that is offline needs none of them, and where it is so they may well not be.
 */
export async function fileProblems(
  input: unknown,
  place: SecretPlace,
): Promise<readonly Problem[]> {
  const checks: Promise<readonly Problem[]>[] = []
  for (const [name, entry] of Object.entries(configuredUpstreams(input))) {
    if (valueAt(entry, 'mode') === 'offline') continue
    const path = ['upstreams', name]
    const ca = valueAt(entry, 'ca')
    if (typeof ca === 'string' && ca !== '') {
      checks.push(attempt([...path, 'ca'], () => readCaBundle(resolve(place.dir, ca))))
    }
    const auth = tableAt(entry, 'auth')
    for (const key of ['username', 'password', 'token']) {
      const value = auth[key]
      if (!isSecret(value)) continue
      checks.push(attempt([...path, 'auth', key], () => readSecret(value, place)))
    }
    checks.push(...dockerChecks(name, auth, place))
  }
  return (await Promise.all(checks)).flat()
}

/** The Docker file has to have an entry, and the helper that it or `auth` names a program. */
function dockerChecks(
  upstream: string,
  auth: Readonly<Record<string, unknown>>,
  place: SecretPlace,
): readonly Promise<readonly Problem[]>[] {
  const { dockerConfig, helper, server } = auth
  const path = ['upstreams', upstream, 'auth']
  const checks: Promise<readonly Problem[]>[] = []
  if (typeof helper === 'string' && 'value' in readHelperName(helper)) {
    checks.push(attempt([...path, 'helper'], () => findHelper(helper, place.env['PATH'])))
  }
  if (typeof dockerConfig === 'string' && dockerConfig !== '') {
    const wanted = typeof server === 'string' ? server : dockerServer(upstream)
    checks.push(
      attempt([...path, 'dockerConfig'], async () => {
        const found = await readDockerConfig(resolve(place.dir, dockerConfig), wanted)
        if ('helper' in found) await findHelper(found.helper, place.env['PATH'])
      }),
    )
  }
  return checks
}

async function attempt(path: Path, check: () => Promise<unknown>): Promise<readonly Problem[]> {
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
