import { digestOf } from '../../../src/oci/digest.ts'
import { rawRequest } from '../../support/raw-request.ts'
import type { ImageName, PullClient } from './pull-client.ts'
import { allDigests } from './pull-client.ts'

interface Options {
  readonly port: number
  /** What stands between `/v2/` and the repository, with a slash at its end; or nothing. */
  readonly prefix: string
  readonly userAgent: string
}

interface Named {
  readonly mediaType: string
  readonly digest: string
}

interface Manifest {
  readonly manifests?: readonly Named[]
  readonly config?: Named
  readonly layers?: readonly Named[]
}

const MANIFEST_TYPES = [
  'application/vnd.docker.distribution.manifest.v2+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.oci.image.index.v1+json',
]

/**
 * The requests of a client that cannot be run here, in its order: those of containerd's resolver, which
 * BuildKit has too. HEAD by tag, then everything by digest, and `ns` with each.
 */
export function createReplay({ port, prefix, userAgent }: Options): PullClient {
  const ask = async (method: string, image: ImageName, path: string, accept: string) => {
    const target = `/v2/${prefix}${image.repository}/${path}?ns=${encodeURIComponent(image.registry)}`
    const headers = [
      ['User-Agent', userAgent],
      ['Accept', accept],
    ] as const
    const response = await rawRequest({ port, target, method, headers })
    if (response.status !== 200) {
      throw new Error(`${method} ${target}: ${response.status} ${response.body.toString()}`)
    }
    return response
  }

  const fetchManifest = async (image: ImageName, named: Named): Promise<readonly string[]> => {
    const accept = `${named.mediaType}, */*`
    const { body } = await ask('GET', image, `manifests/${named.digest}`, accept)
    const { manifests = [], config, layers = [] } = JSON.parse(body.toString()) as Manifest
    const digests: string[] = [digestOf(body)]
    for (const child of manifests) digests.push(...(await fetchManifest(image, child)))
    for (const { digest } of [...(config ? [config] : []), ...layers]) {
      digests.push(digestOf((await ask('GET', image, `blobs/${digest}`, '*/*')).body))
    }
    return digests
  }

  return {
    expected: allDigests,
    async pull(image) {
      const { reference } = image
      const path = `manifests/${'tag' in reference ? reference.tag : reference.digest}`
      const { headers } = await ask('HEAD', image, path, [...MANIFEST_TYPES, '*/*'].join(', '))
      const mediaType = headers['content-type'] ?? ''
      const digest = headers['docker-content-digest'] ?? ''
      return new Set(await fetchManifest(image, { mediaType, digest }))
    },
  }
}
