import type { AccessPolicy } from './access-policy.ts'

/**
 * Everyone who reaches the mirror may pull what its upstreams give it. An upstream with credentials gets
 * here only if the operator wrote `access: 'shared'`, which says exactly this.
 */
export const openAccess: AccessPolicy = {
  decide: () => ({ allowed: true }),
}
