import type { Digest } from '../../oci/digest.ts'
import type { BundleHeader, BundleParent } from '../bundle/bundle-header.ts'

/** What the other side has, as far as it is known. */
export interface Have {
  /** With the id of the bundle that had it, if that is known. */
  readonly blobs: ReadonlyMap<Digest, Digest | undefined>
  /** By their names. */
  readonly images: ReadonlyMap<string, Digest>
  readonly parents: readonly BundleParent[]
}

/** One thing that says what the other side has. */
export interface HaveSource extends Have {
  /** As the operator named it. */
  readonly name: string
  /** ms since the epoch */
  readonly created: number
}

export const HAVE_NOTHING: Have = { blobs: new Map(), images: new Map(), parents: [] }

/** What any of them says, the oldest first: the other side is one mirror, whose tags are what was said last. */
export function joinHave(sources: readonly Have[]): Have {
  const blobs = new Map<Digest, Digest | undefined>()
  for (const source of sources) {
    for (const [digest, from] of source.blobs) blobs.set(digest, blobs.get(digest) ?? from)
  }
  return {
    blobs,
    images: new Map(sources.flatMap((source) => [...source.images])),
    parents: [...new Map(sources.flatMap(({ parents }) => parents).map((p) => [p.id, p])).values()],
  }
}

/** Whoever took that bundle in has what it held, and had what it required. */
export function haveOfBundle(header: BundleHeader, name: string): Have {
  const { id, created, blobs, requires, images } = header
  return {
    blobs: new Map([
      ...requires.map(({ digest, from }) => [digest, from] as const),
      ...blobs.map(({ digest }) => [digest, id] as const),
    ]),
    images: new Map(images.map(({ image, manifest }) => [image, manifest.digest])),
    parents: [{ id, name, created }],
  }
}
