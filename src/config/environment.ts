import { nearest } from './did-you-mean.ts'
import type { Override } from './overrides.ts'
import { showValue } from './show-value.ts'

type Environment = Readonly<Record<string, string | undefined>>

const PREFIX = 'OCI_MIRROR_'

const OVERRIDES: ReadonlyMap<string, Override['path']> = new Map([
  ['OCI_MIRROR_LISTEN', ['server', 'listen']],
  ['OCI_MIRROR_ADMIN_LISTEN', ['admin', 'listen']],
  ['OCI_MIRROR_DATA', ['storage', 'dir']],
  ['OCI_MIRROR_LOG_LEVEL', ['log', 'level']],
])

/** Of every upstream at once, so that it is no key of the file. */
const OFFLINE = 'OCI_MIRROR_OFFLINE'
const YES = new Set(['1', 'true'])
const NO = new Set(['', '0', 'false'])

const KNOWN = ['OCI_MIRROR_CONFIG', ...OVERRIDES.keys(), OFFLINE]

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

export function isOffline(env: Environment): boolean {
  return YES.has(env[OFFLINE] ?? '')
}

/** Also variables that look like ours and are not: a typing error would otherwise change nothing, silently. */
export function environmentProblems(env: Environment): readonly string[] {
  const offline = env[OFFLINE] ?? ''
  const isClear = YES.has(offline) || NO.has(offline)
  const faults = isClear ? [] : [`${OFFLINE}: expected 1 or 0, got ${showValue(offline, [])}`]
  const isInKubernetes = env['KUBERNETES_SERVICE_HOST'] !== undefined
  const unknown = Object.keys(env)
    .filter((name) => name.startsWith(PREFIX) && !KNOWN.includes(name))
    .filter((name) => !isInKubernetes || !SERVICE_LINK.test(name))
  return [
    ...faults,
    ...unknown.map((name) => `environment: ${name}: unknown variable${hintFor(name)}`),
  ]
}

/** The prefix, which is the same for all, would make every name look near. */
function hintFor(name: string): string {
  const suffixes = KNOWN.map((known) => known.slice(PREFIX.length))
  const near = nearest(name.slice(PREFIX.length), suffixes)
  return near === undefined
    ? ` (known: ${KNOWN.join(', ')})`
    : ` (did you mean "${PREFIX}${near}"?)`
}
