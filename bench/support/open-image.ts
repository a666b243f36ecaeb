import type { BenchImage } from '../work/work.ts'

const PATIENCE_MS = 60_000

/**
 * Where the peer has the image's first layer. Asks for the manifest first, as every client does: some
 * mirrors give no blob of an image that they have not seen, or fetch all of it then.
 */
export async function openImage(
  url: string,
  { repository, tag, layers: [layer] }: BenchImage,
): Promise<string> {
  const response = await fetch(`${url}/v2/${repository}/manifests/${tag}`, {
    headers: { accept: 'application/vnd.oci.image.manifest.v1+json' },
    signal: AbortSignal.timeout(PATIENCE_MS),
  })
  const text = await response.text()
  if (!response.ok) throw new Error(`the manifest: ${response.status} ${text.slice(0, 200)}`)
  if (layer === undefined) throw new Error(`${repository} has no layer`)
  return `${url}/v2/${repository}/blobs/${layer.digest}`
}
