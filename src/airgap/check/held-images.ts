import { nameHeld } from '../../core/maintenance/image-name.ts'
import type { HeldImage, Inventory } from '../../core/maintenance/inventory.ts'

/** Small, because the requests of clients wait while SQLite makes one. */
const PAGE = 100

/** Every tag, and what is pinned without one, in the order of their names. */
export async function* heldImages(inventory: Inventory): AsyncGenerator<HeldImage> {
  let after = ''
  for (;;) {
    const page = await inventory.images('*', after, PAGE)
    yield* page
    const last = page.at(-1)
    if (page.length < PAGE || last === undefined) return
    after = nameHeld(last)
  }
}
