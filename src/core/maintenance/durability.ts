import type { Digest } from '../../oci/digest.ts'

/** Each resolves once what it is about survives a loss of power. */
export interface Durability {
  /** `false`: there is no such blob (any more), or it cannot be brought to disk now. */
  sync(digest: Digest): Promise<boolean>
  /** Copies the catalog, which knows what files cannot tell. */
  backup(): Promise<void>
}
