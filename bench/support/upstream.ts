import { createHash } from 'node:crypto'
import { mkdir, open, rename, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { digestOf } from '../../src/oci/digest.ts'
import { OCI_MANIFEST } from '../../src/oci/media-types.ts'
import { bytesContent, seededContent } from '../../test/support/bytes.ts'
import type { Content } from '../../test/support/bytes.ts'
import { startRegistry } from '../peers/distribution.ts'
import type { BenchImage } from '../work/work.ts'
import type { Usage } from './peer.ts'
import { writtenBy } from './proc.ts'
import type { Server } from './server.ts'

interface Stored {
  readonly digest: string
  readonly size: number
}

/** The registry that all peers mirror: Debian's docker-registry, with its files below `dir`. */
export class BenchUpstream {
  readonly url: string
  readonly #server: Server
  readonly #root: string
  readonly #images = new Map<string, Promise<BenchImage>>()

  private constructor(dir: string, server: Awaited<ReturnType<typeof startRegistry>>) {
    this.#root = join(dir, 'storage/docker/registry/v2')
    this.url = server.url
    this.#server = server
  }

  static async start(dir: string): Promise<BenchUpstream> {
    await mkdir(dir, { recursive: true })
    return new BenchUpstream(dir, await startRegistry({ program: 'docker-registry', dir }))
  }

  usage(): Promise<Usage> {
    return this.#server.usage()
  }

  stop(): Promise<void> {
    return this.#server.stop()
  }

  /** Bytes that it has written since it was started; it logs next to nothing. */
  sent(): number {
    return writtenBy(this.#server.pid)
  }

  /** Puts an image there, once. */
  image(name: string, layers: readonly number[]): Promise<BenchImage> {
    const image = this.#images.get(name) ?? this.#put(name, layers)
    this.#images.set(name, image)
    return image
  }

  async #put(name: string, sizes: readonly number[]): Promise<BenchImage> {
    const repository = `bench/${name}`
    const layers: Stored[] = []
    for (const [n, size] of sizes.entries()) {
      layers.push(await this.#store(repository, seededContent(`${name}/${n}`, size)))
    }
    const configuration = JSON.stringify({
      os: 'linux',
      architecture: 'amd64',
      config: {},
      // They are not compressed.
      rootfs: { type: 'layers', diff_ids: layers.map(({ digest }) => digest) },
    })
    const config = await this.#store(repository, bytesContent(Buffer.from(configuration)))
    const manifest = manifestOf(config, layers)
    await this.#tag(repository, manifest)
    return {
      repository,
      tag: '1',
      digest: digestOf(manifest),
      manifestBytes: manifest.length,
      config,
      layers,
    }
  }

  /** As the registry would lay it out: a push of gibibytes would hash them twice more. */
  async #store(repository: string, content: Content): Promise<Stored> {
    const uploads = join(this.#root, 'bench-upload')
    await mkdir(dirname(uploads), { recursive: true })
    const file = await open(uploads, 'w')
    const hash = createHash('sha256')
    for (const chunk of content.read(0, content.size)) {
      hash.update(chunk)
      await file.write(chunk)
    }
    await file.close()
    const hex = hash.digest('hex')
    const blob = join(this.#root, 'blobs/sha256', hex.slice(0, 2), hex)
    const link = join(this.#root, 'repositories', repository, '_layers/sha256', hex)
    await mkdir(blob, { recursive: true })
    await mkdir(link, { recursive: true })
    await rename(uploads, join(blob, 'data'))
    await writeFile(join(link, 'link'), `sha256:${hex}`)
    return { digest: `sha256:${hex}`, size: content.size }
  }

  async #tag(repository: string, manifest: Buffer): Promise<void> {
    const url = `${this.url}/v2/${repository}/manifests/1`
    const headers = { 'content-type': OCI_MANIFEST }
    const response = await fetch(url, { method: 'PUT', headers, body: new Uint8Array(manifest) })
    const text = await response.text()
    if (!response.ok) throw new Error(`PUT ${url}: ${response.status} ${text}`)
  }
}

function manifestOf(config: Stored, layers: readonly Stored[]): Buffer {
  const mediaType = 'application/vnd.oci.image.layer.v1.tar'
  return Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: OCI_MANIFEST,
      config: { mediaType: 'application/vnd.oci.image.config.v1+json', ...config },
      layers: layers.map((layer) => ({ mediaType, ...layer })),
    }),
  )
}
