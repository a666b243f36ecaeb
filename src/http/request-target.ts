import type { IncomingMessage } from 'node:http'

/** All that addressing reads of a request. A header that is given several times has several values. */
export interface RequestTarget {
  /** As it came over the wire: `/v2/library/x/manifests/1?ns=docker.io`. */
  readonly target: string
  readonly host: readonly string[]
  readonly ociNamespace: readonly string[]
  readonly ociRefName: readonly string[]
  /** The port that the request came in on. */
  readonly localPort: number
}

/**
 * Reads the raw header lines: Node keeps the first of several `Host` lines and says nothing of the
 * others, and joins any other header's values, so that `incoming.headers` cannot tell.
 */
export function readRequestTarget(incoming: IncomingMessage): RequestTarget {
  const values: Record<'host' | 'oci-namespace' | 'oci-ref-name', string[]> = {
    host: [],
    'oci-namespace': [],
    'oci-ref-name': [],
  }
  const { rawHeaders } = incoming
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    const name = rawHeaders[index]?.toLowerCase()
    if (name !== 'host' && name !== 'oci-namespace' && name !== 'oci-ref-name') continue
    values[name].push(rawHeaders[index + 1] ?? '')
  }
  return {
    target: incoming.url ?? '',
    host: values.host,
    ociNamespace: values['oci-namespace'],
    ociRefName: values['oci-ref-name'],
    localPort: incoming.socket.localPort ?? 0,
  }
}
