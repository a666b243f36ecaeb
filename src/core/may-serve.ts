import type { Holding } from './ports.ts'
import type { UpstreamEntry } from './upstream-entry.ts'

/**
 * A manifest that names a digest proves nothing about who may read it: anyone can push a manifest that
 * names anything. It is enough only where everything can be read by everyone, and came from there.
 */
export function mayServe({ standing }: Holding, entry: Pick<UpstreamEntry, 'isPublic'>): boolean {
  return standing === 'proved' || (standing === 'named' && entry.isPublic)
}
