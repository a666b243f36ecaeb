import { isTable } from './raw-input.ts'
import { DEFAULT_UPSTREAMS } from './settings.ts'

/** A copy of the input in which every upstream is offline, whatever it says of itself. */
export function takeOffline(input: unknown): unknown {
  if (!isTable(input)) return input
  const given = input['upstreams']
  const upstreams = given === undefined ? DEFAULT_UPSTREAMS : given
  // What is no table stays as it is, and is refused as what it is.
  if (!isTable(upstreams)) return input
  const offline = Object.entries(upstreams).map(([name, entry]) => [
    name,
    isTable(entry) ? { ...entry, mode: 'offline' } : entry,
  ])
  return { ...input, upstreams: Object.fromEntries(offline) }
}
