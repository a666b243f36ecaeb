import { findUrlFault, isListed, isSameHost, isSameSite } from './site.ts'

export type RealmVerdict =
  { readonly realm: URL; readonly mayHaveCredentials: boolean } | { readonly refusal: string }

/**
 * Where tokens may be fetched, and who may see the credentials. The realm of a challenge is the
 * upstream's word only: without this rule, whoever answers for the upstream once is sent the
 * operator's password (CVE-2026-33540 and its kin).
 */
export function judgeRealm(
  text: string,
  endpoint: URL,
  tokenRealms: readonly string[],
): RealmVerdict {
  const realm = URL.parse(text)
  if (realm === null) return { refusal: 'names a token server that is no URL' }
  const fault = findUrlFault(realm)
  if (fault !== undefined) return { refusal: `names a token server whose URL ${fault}` }
  if (realm.protocol === 'http:' && endpoint.protocol === 'https:') {
    return { refusal: `names the token server ${realm.host} without TLS` }
  }
  realm.hash = ''
  const mayHaveCredentials =
    isSameHost(realm, endpoint) || isSameSite(realm, endpoint) || isListed(tokenRealms, realm)
  return { realm, mayHaveCredentials }
}
