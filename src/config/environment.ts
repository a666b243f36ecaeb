import { nearest } from './did-you-mean.ts'
import type { Override } from './overrides.ts'

type Environment = Readonly<Record<string, string | undefined>>

const PREFIX = 'OCI_MIRROR_'

const OVERRIDES: ReadonlyMap<string, Override['path']> = new Map([
  ['OCI_MIRROR_LISTEN', ['server', 'listen']],
  ['OCI_MIRROR_ADMIN_LISTEN', ['admin', 'listen']],
  ['OCI_MIRROR_DATA', ['storage', 'dir']],
  ['OCI_MIRROR_LOG_LEVEL', ['log', 'level']],
])

const KNOWN = ['OCI_MIRROR_CONFIG', ...OVERRIDES.keys()]

/**
 * Kubernetes gives every pod variables about each service of its namespace, and a service in front of
 * this program is likely to be called `oci-mirror`: `OCI_MIRROR_SERVICE_HOST`, `OCI_MIRROR_PORT`,
 * `OCI_MIRROR_PORT_5000_TCP_ADDR`.
 */
const SERVICE_LINK =
  /_(?:SERVICE_HOST|SERVICE_PORT(?:_[A-Z0-9_]+)?|PORT(?:_\d+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)?)$/

/** What the environment overrides. A variable that is empty counts as not set. */
export function environmentOverrides(env: Environment): readonly Override[] {
  return [...OVERRIDES].flatMap(([origin, path]) => {
    const value = env[origin]
    return value === undefined || value === '' ? [] : [{ path, value, origin }]
  })
}

/** Variables that look like ours and are not: a typing error there would otherwise change nothing, silently. */
export function environmentProblems(env: Environment): readonly string[] {
  const isInKubernetes = env['KUBERNETES_SERVICE_HOST'] !== undefined
  return Object.keys(env)
    .filter((name) => name.startsWith(PREFIX) && !KNOWN.includes(name))
    .filter((name) => !isInKubernetes || !SERVICE_LINK.test(name))
    .map((name) => `environment: ${name}: unknown variable${hintFor(name)}`)
}

/** The prefix, which is the same for all, would make every name look near. */
function hintFor(name: string): string {
  const suffixes = KNOWN.map((known) => known.slice(PREFIX.length))
  const near = nearest(name.slice(PREFIX.length), suffixes)
  return near === undefined
    ? ` (known: ${KNOWN.join(', ')})`
    : ` (did you mean "${PREFIX}${near}"?)`
}
