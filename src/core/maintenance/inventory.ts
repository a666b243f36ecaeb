import type { Descriptor } from '../../oci/descriptor.ts'
import type { Digest } from '../../oci/digest.ts'
import type { Repository, Tag } from '../../oci/reference.ts'
import type { ImportCatalog } from '../airgap/import-catalog.ts'

/** A tag that is here, or a pinned manifest without one, and how much of it. Sizes in bytes. */
export interface HeldImage {
  readonly repository: Repository
  readonly tag?: Tag
  readonly manifest: Descriptor
  /** When upstream last said so, ms since the epoch; only of a tag. */
  readonly checkedAt?: number
  readonly isPinned: boolean
  readonly isHeld: boolean
  readonly closure: Closure
}

/** A manifest with all that it names, in turn, as far as the manifests of it are here. */
export interface Closure {
  readonly blobs: number
  readonly bytes: number
  readonly storedBlobs: number
  readonly storedBytes: number
}

export interface HeldRepository {
  readonly repository: Repository
  readonly tags: number
  readonly manifests: number
  /** Of the stored blobs that it may serve; other repositories may share them. */
  readonly blobs: number
  readonly bytes: number
}

export interface HeldBlob {
  readonly digest: Digest
  readonly size: number
  /** Last used, ms since the epoch. */
  readonly usedAt: number
}

/** What a client was given, by the name that it asked for. */
export type ServedImage = { readonly repository: Repository } & (
  { readonly tag: Tag } | { readonly digest: Digest }
)

export interface UntaggedManifest {
  readonly repository: Repository
  readonly digest: Digest
  readonly wasTagged: boolean
}

/** Who may be asked for a digest, and as what. */
export interface Owner {
  readonly repository: Repository
  readonly kind: 'manifest' | 'blob'
}

/** `digest` is absent where the tag was dropped. `at` in ms since the epoch. */
export interface TagChange {
  readonly tag: Tag
  readonly digest?: Digest
  readonly at: number
}

/** What a removal comes to. */
export interface Removal {
  /** Tags and manifests that go. */
  readonly tags: readonly Tag[]
  readonly manifests: readonly Digest[]
  /** Stored blobs that nothing names any more. */
  readonly freed: readonly HeldBlob[]
  /** Stored blobs that something else still names. */
  readonly kept: readonly HeldBlob[]
}

/** How far a verification of everything has come. */
export interface VerifyRun {
  /** The last digest that was checked, in the order of their characters. */
  readonly after: string
  readonly startedAt: number
  readonly blobs: number
  readonly bytes: number
}

export interface InventoryCounts {
  readonly repositories: number
  readonly tags: number
  readonly manifests: number
  readonly pins: number
  readonly holds: number
}

/**
 * The catalog as those who look after it see it: whole, in pages, and by what names what. Not for requests:
 * a call may take milliseconds. Times in ms since the epoch.
 */
export interface Inventory {
  readonly imports: ImportCatalog
  /** By their full names, in order, beginning after `after`. `*` in the glob is any text, `?` one character. */
  images(glob: string, after: string, limit: number): Promise<readonly HeldImage[]>
  repositories(glob: string, after: string, limit: number): Promise<readonly HeldRepository[]>
  blobs(after: string, limit: number): Promise<readonly HeldBlob[]>
  counts(): Promise<InventoryCounts>
  /** Of one repository, at most `limit`. */
  tagsOf(repository: Repository, limit: number): Promise<readonly Tag[]>
  image(repository: Repository, manifest: Descriptor): Promise<Closure>
  /** The manifest itself first, then what it names, in turn. */
  closure(repository: Repository, digest: Digest): Promise<readonly Digest[]>
  blob(digest: Digest): Promise<HeldBlob | undefined>
  /** Repositories that may be asked for the digest: first those that it was downloaded from. */
  owners(digest: Digest): Promise<readonly Owner[]>
  /** Oldest first; of every tag of the repository if none is given. */
  history(repository: Repository, tag?: Tag): Promise<readonly TagChange[]>
  isPinned(repository: Repository, digest: Digest): Promise<boolean>
  isHeld(repository: Repository, tag: Tag): Promise<boolean>
  /** `false`: it was already. */
  pin(repository: Repository, digest: Digest, at: number): Promise<boolean>
  unpin(repository: Repository, digest: Digest): Promise<boolean>
  /** The tag's row is this digest from now on, and moves no more. */
  hold(repository: Repository, tag: Tag, manifest: Descriptor, at: number): Promise<void>
  release(repository: Repository, tag: Tag): Promise<boolean>
  /**
   * Takes a tag, or a manifest with all its tags, out of the repository, with the manifests and links that
   * nothing else there needs, in one transaction. `dryRun`: says what would go, and changes nothing.
   */
  remove(
    repository: Repository,
    target: { readonly tag: Tag } | { readonly digest: Digest },
    at: number,
    dryRun: boolean,
  ): Promise<Removal>
  /**
   * Stored blobs, unused since `before`, that no manifest names, no repository may serve and no pin needs. What
   * was found as a file is given a month more, unless it has been named since: the catalog may have been lost.
   */
  unreferenced(before: number): Promise<readonly HeldBlob[]>
  /**
   * Manifests that no tag, no pin and no other manifest of their repository names, and that are attached to
   * nothing: what was pulled by its digest, and what a tag has moved away from (`wasTagged`).
   */
  untagged(): Promise<readonly UntaggedManifest[]>
  /** What clients have been given since then, by tag, or by digest where no tag named it. */
  served(since: number): Promise<readonly ServedImage[]>
  verifyRun(): Promise<VerifyRun | undefined>
  /** `undefined`: it has come to its end. */
  saveVerifyRun(run: VerifyRun | undefined): Promise<void>
}
