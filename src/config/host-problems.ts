import { readHostOrPort } from './host-name.ts'
import { readListenAddress } from './listen-address.ts'
import { configuredUpstreams } from './name-problems.ts'
import type { Problem } from './problem.ts'
import { tableAt, textsAt, valueAt } from './raw-input.ts'

/** Hosts that lead to two upstreams, and ports where nothing listens. */
export function hostProblems(input: unknown): readonly Problem[] {
  const port = listenPort(input)
  const claims = new Map<string, string>()
  return Object.entries(configuredUpstreams(input)).flatMap(([upstream, entry]) =>
    textsAt(entry, 'hosts').flatMap(([index, given]) => {
      const path = ['upstreams', upstream, 'hosts', index]
      const reading = readHostOrPort(given)
      if (!('value' in reading)) return []
      const host = reading.value
      const other = claims.get(host)
      claims.set(host, other ?? upstream)
      if (other !== undefined && other !== upstream) {
        return [{ path, message: `"${given}" already leads to the upstream "${other}"` }]
      }
      if (!host.startsWith(':') || port === undefined || host === `:${port}`) return []
      return [
        { path, message: `the mirror does not listen on port ${host.slice(1)}, but on ${port}` },
      ]
    }),
  )
}

/** `undefined` if it is not known: the key is wrong itself, or the system is to choose. */
function listenPort(input: unknown): number | undefined {
  const given = valueAt(tableAt(input, 'server'), 'listen') ?? '127.0.0.1:5000'
  if (typeof given !== 'string' && typeof given !== 'number') return undefined
  const reading = readListenAddress(given)
  return 'value' in reading && reading.value.port !== 0 ? reading.value.port : undefined
}
