import type { Descriptor } from '../../oci/descriptor.ts'
import type { Digest } from '../../oci/digest.ts'
import type { Repository, Tag, UpstreamName } from '../../oci/reference.ts'
import type { RecordedManifest } from '../ports.ts'
import type { BundleOrigin } from './import-api.ts'

/** A stored blob, as far as an import has to know it. */
export interface HeldPart {
  /** Bytes. */
  readonly size: number
  /** It is on the disk itself, and not only in the machine's memory. */
  readonly isDurable: boolean
  /** The repository that was asked for may serve it. */
  readonly isLinked: boolean
  /** The id of the bundle that brought it here, if no repository has been given it so far. */
  readonly broughtBy?: string
  /** Upstreams of the repositories that may serve it. */
  readonly upstreams: readonly UpstreamName[]
}

/** An image that is complete, with all that the catalog is to know of it. */
export interface ArrivedImage {
  readonly repository: Repository
  readonly manifest: Descriptor
  /** The tag that is to point at it, when its upstream last said so (ms since the epoch). */
  readonly tag?: Tag
  readonly checkedAt: number
  readonly manifests: readonly {
    readonly manifest: RecordedManifest
    readonly children: readonly Descriptor[]
  }[]
  /** Everything of it that is here, manifests included. */
  readonly parts: readonly Digest[]
  readonly origin: BundleOrigin
  readonly overwrite: boolean
  readonly pin: boolean
  /** ms since the epoch */
  readonly at: number
}

/** Which bundle gave a tag the digest that it has. */
export interface ImportMark {
  readonly name: string
  /** Absent for archives of other tools. */
  readonly id?: string
  /** ms since the epoch */
  readonly at: number
}

/** What an import asks of the catalog. What resolves survives a loss of power. */
export interface ImportCatalog {
  /** `undefined`: it is not stored. */
  part(repository: Repository, digest: Digest): Promise<HeldPart | undefined>
  /** The blob came in the bundle with this id, and is nobody's so far: its next run need not bring it again. */
  bring(digest: Digest, bundle: string): Promise<void>
  /**
   * One transaction: manifests, links and the tag appear together. `kept`: all but the tag, which stays where it
   * is, because it is held, or was checked later than `checkedAt` and is not to be overwritten. `gone`: nothing
   * was done, because a part is not stored any more. Throws NoSpace.
   */
  commit(image: ArrivedImage): Promise<'committed' | 'kept' | 'gone'>
  /** Of the tag, if it still is what an import made it. */
  mark(repository: Repository, tag: Tag): Promise<ImportMark | undefined>
  isPinned(repository: Repository, digest: Digest): Promise<boolean>
  /** Remembers that it was imported. */
  note(origin: BundleOrigin, at: number): Promise<void>
  /** Of these bundles, those that were imported here. */
  known(ids: readonly string[]): Promise<readonly string[]>
}
