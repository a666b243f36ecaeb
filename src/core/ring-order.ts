import type { RangeSpec } from '../oci/byte-range.ts'
import { resolveRange } from '../oci/byte-range.ts'
import { NoSpace } from './ports.ts'
import { RING_BYTES } from './ring.ts'

/**
 * A ring lets go of what its readers have taken: a list of ranges that goes back would be cut in the middle
 * of the answer, so it is refused before it begins. `size` in bytes of the blob `name`. Throws NoSpace.
 */
export function refuseToGoBack(
  ranges: readonly RangeSpec[] | undefined,
  size: number | undefined,
  name: string,
): void {
  if (ranges === undefined || size === undefined || size <= RING_BYTES) return
  let taken = 0
  for (const spec of ranges) {
    const range = resolveRange(spec, size)
    if (range === undefined) continue
    if (range.start < taken) {
      const plan = 'ask for its ranges one by one or in ascending order, or make room'
      throw new NoSpace(
        `${name} is passed on without being stored, first byte first: ${plan}`,
        'limit',
      )
    }
    taken = range.end
  }
}
