import { findUrlFault } from './site.ts'

export type RedirectVerdict = { readonly url: URL } | { readonly refusal: string }

/** 303 is for what a GET may read, so all five mean the same to us: ask there, with the same method. */
const REDIRECTS = new Set([301, 302, 303, 307, 308])

/**
 * Query parameters of presigned URLs: AWS, R2, Google, Azure, CloudFront, Alibaba, Tencent, Huawei,
 * Cloudflare, Akamai. In lower case.
 */
const SIGNATURES = new Set(
  [
    'x-amz-signature x-amz-credential x-amz-security-token awsaccesskeyid key-pair-id policy',
    'x-goog-signature x-goog-credential googleaccessid signature sig se sp',
    'x-oss-signature ossaccesskeyid q-signature x-obs-signature',
    'verify hdnea hdnts __token__ token hmac',
  ].flatMap((line) => line.split(' ')),
)

export function isRedirect(status: number): boolean {
  return REDIRECTS.has(status)
}

/** Where a redirect leads; relative targets are common (Google's registry sends them). */
export function judgeRedirect(from: URL, location: string | undefined): RedirectVerdict {
  if (location === undefined) return { refusal: 'redirected without a usable Location' }
  const url = URL.parse(location, from.href)
  if (url === null) return { refusal: 'redirected to something that is no URL' }
  const fault = findUrlFault(url)
  if (fault !== undefined) return { refusal: `redirected to a URL that ${fault}` }
  if (from.protocol === 'https:' && url.protocol === 'http:') {
    return { refusal: `redirected to ${url.host} without TLS` }
  }
  url.hash = ''
  return { url }
}

/**
 * Whether the Authorization header goes along: never to another scheme, host or port, and never to a
 * signed URL, where S3 answers "Only one auth mechanism allowed".
 */
export function keepsAuthorization(from: URL, to: URL): boolean {
  return from.origin === to.origin && !isSigned(to)
}

function isSigned(url: URL): boolean {
  return [...url.searchParams.keys()].some((name) => SIGNATURES.has(name.toLowerCase()))
}
