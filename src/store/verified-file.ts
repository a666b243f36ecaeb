import type { Digest } from '../oci/digest.ts'

/** What a spool's `finish` proves. The path is for the store that made the spool. */
export class DiskVerifiedFile {
  readonly digest: Digest
  readonly size: number
  readonly path: string
  /** Set by the store once it has moved the file to its place. */
  isAdopted = false

  constructor(digest: Digest, size: number, path: string) {
    this.digest = digest
    this.size = size
    this.path = path
  }
}
