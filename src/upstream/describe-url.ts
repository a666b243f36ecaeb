/**
 * The only way that a URL gets into a message here: origin and path. The query of a presigned URL is a
 * credential, and so is what stands before an `@`.
 */
export function describeUrl(url: URL): string {
  return `${url.protocol}//${url.host}${url.pathname}`
}
