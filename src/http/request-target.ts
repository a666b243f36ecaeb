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

const NONE: readonly string[] = []

/**
 * Reads the raw header lines: Node keeps the first of several `Host` lines and says nothing of the
 * others, and joins any other header's values, so that `incoming.headers` cannot tell.
 */
export function readRequestTarget(incoming: IncomingMessage): RequestTarget {
  const { rawHeaders } = incoming
  return {
    target: incoming.url ?? '',
    host: valuesOf(rawHeaders, 'host'),
    ociNamespace: valuesOf(rawHeaders, 'oci-namespace'),
    ociRefName: valuesOf(rawHeaders, 'oci-ref-name'),
    localPort: incoming.socket.localPort ?? 0,
  }
}

/** Whether addressing has to read more than the target and one host. */
export function isPlain({ host, ociNamespace, ociRefName }: RequestTarget): boolean {
  return host.length === 1 && ociNamespace.length === 0 && ociRefName.length === 0
}

function valuesOf(rawHeaders: readonly string[], name: string): readonly string[] {
  let values: string[] | undefined
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    const written = rawHeaders[index]
    // Nearly every line ends here: lower-casing each one of each request would cost as much as routing.
    if (written?.length !== name.length || written.toLowerCase() !== name) continue
    values ??= []
    values.push(rawHeaders[index + 1] ?? '')
  }
  return values ?? NONE
}
