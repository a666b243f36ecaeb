import type { BlobBody, Upstream, UpstreamBlob } from '../core/upstream.ts'

/** Bytes of bodies received since the start. */
export interface Received {
  manifest: number
  blob: number
}

/**
 * The same upstream, which counts the bytes that it brings while they arrive: a download may take hours,
 * and a graph of it should not be one step at its end.
 */
export function meteredUpstream(inner: Upstream, received: Received): Upstream {
  const metered = (blob: UpstreamBlob | undefined): UpstreamBlob | undefined =>
    blob && { ...blob, body: meteredBody(blob.body, received) }
  return {
    ...inner,
    async headManifest(...request) {
      const head = await inner.headManifest(...request)
      received.manifest += head?.bytes?.length ?? 0
      return head
    },
    async getManifest(...request) {
      const manifest = await inner.getManifest(...request)
      received.manifest += manifest?.bytes.length ?? 0
      return manifest
    },
    getBlob: async (...request) => metered(await inner.getBlob(...request)),
    resumeBlob: async (...request) => metered(await inner.resumeBlob(...request)),
    getBlobRange: async (...request) => metered(await inner.getBlobRange(...request)),
  }
}

function meteredBody(body: BlobBody, received: Received): BlobBody {
  return {
    pump: (take) =>
      body.pump((bytes) => {
        received.blob += bytes.length
        return take(bytes)
      }),
  }
}
