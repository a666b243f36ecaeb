import { RegistryError } from '../oci/registry-error.ts'
import { quoteInput } from './quote-input.ts'

/** Which endpoint of the distribution specification a path is for. `name` is still as it was written. */
export type Endpoint =
  | { readonly kind: 'ping' }
  | { readonly kind: 'catalog' }
  | { readonly kind: 'tags' | 'upload'; readonly name: readonly string[] }
  | {
      readonly kind: 'manifests' | 'blobs' | 'referrers'
      readonly name: readonly string[]
      readonly reference: string
    }

/**
 * Reads the segments after `/v2/` from the right, because a repository may be named `manifests/blobs`
 * and only the last keyword is one. Throws RegistryError UNSUPPORTED (404) for any other path.
 */
export function parseEndpoint(segments: readonly string[]): Endpoint {
  const path = segments.join('/')
  if (path === '') return { kind: 'ping' }
  if (path === '_catalog') return { kind: 'catalog' }
  const [last, keyword, before] = segments.toReversed()
  if (last === 'list' && keyword === 'tags') return { kind: 'tags', name: segments.slice(0, -2) }
  // POST blobs/uploads/ starts a push, blobs/uploads/<session> continues it.
  if (last === 'uploads' && keyword === 'blobs') {
    return { kind: 'upload', name: segments.slice(0, -2) }
  }
  if (keyword === 'uploads' && before === 'blobs') {
    return { kind: 'upload', name: segments.slice(0, -3) }
  }
  if (keyword === 'manifests' || keyword === 'blobs' || keyword === 'referrers') {
    return { kind: keyword, name: segments.slice(0, -2), reference: last ?? '' }
  }
  throw new RegistryError(
    'UNSUPPORTED',
    `${quoteInput(`/v2/${path}`)} is no endpoint of a registry; ` +
      'those are <name>/manifests/<reference>, <name>/blobs/<digest>, ' +
      '<name>/tags/list and <name>/referrers/<digest>',
    { status: 404 },
  )
}
