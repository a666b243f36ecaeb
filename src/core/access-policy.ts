import type { Repository } from '../oci/reference.ts'

/** Asked before any look-up in the cache and before joining a flight. */
export interface AccessPolicy {
  decide(caller: Caller, repository: Repository): Verdict
}

export type Caller =
  { readonly kind: 'anonymous' } | { readonly kind: 'user'; readonly name: string }

export const ANONYMOUS: Caller = { kind: 'anonymous' }

type Verdict =
  | { readonly allowed: true }
  | { readonly allowed: false; readonly code: 'DENIED'; readonly rule: string }
