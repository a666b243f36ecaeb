import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Digest } from '../oci/digest.ts'

/** Longer, and a client notices that it waits for somebody else's list. */
const LONGEST_MS = 8

/** For work in many small steps on the thread that answers clients: lets them have their turn in between. */
export class Turns {
  #since = performance.now()

  /** To be awaited between two steps. */
  async next(): Promise<void> {
    if (performance.now() - this.#since < LONGEST_MS) return
    await nextTurn()
    this.#since = performance.now()
  }
}

/** Rows in some order, a query at a time; `read` is told the last row of the page before. */
export async function* rowsOf<Row>(
  read: (after: Row | undefined) => readonly Row[],
): AsyncGenerator<Row> {
  let page = read(undefined)
  for (let last = page.at(-1); last !== undefined; last = page.at(-1)) {
    yield* page
    await nextTurn()
    page = read(last)
  }
}

/** Rows in the order of their digests, a query at a time; `read` is told the last digest of the page before. */
export async function* pagesOf<Row extends { readonly digest: Digest }>(
  read: (after: string) => readonly Row[],
): AsyncIterable<readonly Row[]> {
  let page = read('')
  for (let last = page.at(-1); last !== undefined; last = page.at(-1)) {
    yield page
    await nextTurn()
    page = read(last.digest)
  }
}
