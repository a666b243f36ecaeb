import type { Digest } from './digest.ts'

/** What the image specification calls a descriptor, as far as a mirror needs it. Size in bytes. */
export interface Descriptor {
  readonly mediaType: string
  readonly digest: Digest
  readonly size: number
}
