import type { FakeRegistry } from '../support/fake-registry.ts'
import type { TestBlob, TestImage } from '../support/images.ts'
import { buildBlob, buildImage } from '../support/images.ts'

const MIB = 1024 * 1024
const IMAGES = 60
const LAYERS = 2
const LAYER_BYTES = 2 * MIB

/** One repository of the soak: its tag moves between two images. */
export interface Shelf {
  readonly repository: string
  readonly images: readonly [TestImage, TestImage]
}

/** What there is to pull. */
export interface Stock {
  /** Ordered by how often they are asked for, the first most. */
  readonly shelves: readonly Shelf[]
  /** Larger than the whole quota: nobody can keep it. */
  readonly giant: TestBlob
  /** Upstream sends it with a wrong byte, always: nobody may ever get it whole. */
  readonly poison: TestBlob
  /** Bytes of everything that could be kept. */
  readonly bytes: number
}

export const TAG = 'latest'
/** Where the blobs are that belong to no image. */
export const ODDMENTS = 'soak/oddments'

export function fillRegistry(registry: FakeRegistry): Stock {
  const shelves = Array.from({ length: IMAGES }, (_, n) => shelfOf(n))
  for (const { repository, images } of shelves) {
    for (const image of images) registry.add(repository, image, TAG)
  }
  const bytes = IMAGES * (LAYERS + 1) * LAYER_BYTES
  const giant = buildBlob('giant', Math.ceil(bytes / 8))
  const poison = buildBlob('poison', 3 * MIB)
  for (const blob of [giant, poison]) registry.addBlob(ODDMENTS, blob)
  return { shelves, giant, poison, bytes }
}

/** The second image is a rebuild: it shares nothing but its name, and is one layer. */
function shelfOf(n: number): Shelf {
  const build = (seed: string, layers: number) =>
    buildImage({ seed: `${seed} ${n}`, layers, layerBytes: LAYER_BYTES })
  return {
    repository: `soak/image-${n}`,
    images: [build('soak', LAYERS), build('rebuilt', LAYERS - 1)],
  }
}
