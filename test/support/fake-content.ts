import type { Digest } from '../../src/oci/digest.ts'
import type { Content } from './bytes.ts'
import { bytesContent, readAll } from './bytes.ts'
import type { Answer } from './fake-answer.ts'
import { errorAnswer } from './fake-answer.ts'
import type { ListedManifest, ListOptions } from './fake-lists.ts'
import { referrersAnswer, tagsAnswer } from './fake-lists.ts'
import type { HugeBlob, TestBlob, TestImage, TestIndex } from './images.ts'
import type { RecordedRequest } from './recorded-request.ts'

interface StoredManifest {
  readonly mediaType: string
  readonly content: Content
}

interface StoredRepository {
  readonly manifests: Map<string, StoredManifest>
  readonly blobs: Map<string, Content>
  readonly tags: Map<string, Digest>
}

/** What the fake holds: like a real registry, each repository knows only its own. */
export class FakeContent {
  readonly #repositories = new Map<string, StoredRepository>()

  add(name: string, image: TestImage | TestIndex, tag?: string): void {
    if ('images' in image) for (const child of image.images) this.add(name, child)
    else for (const blob of [image.config, ...image.layers]) this.addBlob(name, blob)
    this.addManifest(name, image.manifest, tag)
  }

  addManifest(name: string, manifest: TestBlob, tag?: string): void {
    const { digest, mediaType, bytes } = manifest
    const repository = this.#ensure(name)
    repository.manifests.set(digest, { mediaType, content: bytesContent(bytes) })
    if (tag !== undefined) repository.tags.set(tag, digest)
  }

  addBlob(name: string, blob: TestBlob | HugeBlob): void {
    const content = 'bytes' in blob ? bytesContent(blob.bytes) : blob
    this.#ensure(name).blobs.set(blob.digest, content)
  }

  setTag(name: string, tag: string, digest: Digest): void {
    this.#ensure(name).tags.set(tag, digest)
  }

  deleteTag(name: string, tag: string): void {
    this.#ensure(name).tags.delete(tag)
  }

  /** Takes a manifest or blob away, as a registry's garbage collection does. */
  delete(name: string, digest: Digest): void {
    const repository = this.#ensure(name)
    repository.manifests.delete(digest)
    repository.blobs.delete(digest)
  }

  has(name: string): boolean {
    return this.#repositories.has(name)
  }

  /** distribution-spec "Pulling manifests", "Pulling blobs" and "Content Discovery". */
  answer(request: RecordedRequest, withDigest: boolean, lists: ListOptions = {}): Answer {
    const repository = this.#repositories.get(request.repository ?? '')
    if (repository === undefined) return errorAnswer(404, 'NAME_UNKNOWN')
    const { kind, reference = '' } = request
    if (kind === 'tags') return tagsAnswer([...repository.tags.keys()], request, lists)
    if (kind === 'referrers') return referrersAnswer(listed(repository), request, lists)
    if (kind === 'manifest') {
      const named = lists.tagsAreDigests === true ? reference.replace('-', ':') : reference
      const digest = repository.tags.get(reference) ?? named
      const manifest = repository.manifests.get(digest)
      return manifest === undefined
        ? errorAnswer(404, 'MANIFEST_UNKNOWN')
        : contentAnswer(manifest.mediaType, manifest.content, withDigest ? digest : undefined)
    }
    const blob = kind === 'blob' ? repository.blobs.get(reference) : undefined
    return blob === undefined
      ? errorAnswer(404, 'BLOB_UNKNOWN')
      : contentAnswer('application/octet-stream', blob, withDigest ? reference : undefined)
  }

  #ensure(name: string): StoredRepository {
    const known = this.#repositories.get(name)
    if (known !== undefined) return known
    const fresh = { manifests: new Map(), blobs: new Map(), tags: new Map() }
    this.#repositories.set(name, fresh)
    return fresh
  }
}

function listed({ manifests }: StoredRepository): readonly ListedManifest[] {
  return [...manifests].map(([digest, { mediaType, content }]) => {
    return { digest, mediaType, bytes: readAll(content) }
  })
}

function contentAnswer(contentType: string, body: Content, digest: string | undefined): Answer {
  const headers = { 'content-type': contentType }
  const all = digest === undefined ? headers : { ...headers, 'docker-content-digest': digest }
  return { status: 200, headers: all, body }
}
