import type { ManifestBody, Upstream } from '../core/upstream.ts'
import { UpstreamFailure } from '../core/upstream-failure.ts'
import type { Descriptor } from '../oci/descriptor.ts'
import type { Digest } from '../oci/digest.ts'
import { defaultPlatformChild, readManifest } from '../oci/manifest.ts'
import {
  DOCKER_LIST,
  DOCKER_MANIFEST,
  isIndexType,
  OCI_INDEX,
  OCI_MANIFEST,
} from '../oci/media-types.ts'
import type { Reference, Repository, RepositoryName } from '../oci/reference.ts'
import { formatReference } from '../oci/reference.ts'
import type { UpstreamRequestEvent } from '../upstream/options.ts'
import { redirectedTo, totalMs } from './request-trace.ts'
import type { Way } from './way.ts'

/** Content that vendors let nobody pass on, such as the base layers of Windows: not at the registry. */
const ELSEWHERE = /foreign|nondistributable/

/** Token and manifest, platform, one blob, in the order and by the requests of a pull. */
export class ContentProbe {
  readonly #way: Way
  readonly #client: Upstream
  readonly #repository: RepositoryName
  /** Nobody waits so long that it has to be cut short: each request has a limit of its own. */
  readonly #signal = new AbortController().signal

  constructor(way: Way, client: Upstream, repository: Repository) {
    this.#way = way
    this.#client = client
    this.#repository = repository.name
  }

  async manifest(reference: Reference): Promise<Descriptor> {
    const { answer, requests } = await this.#way.ask(() =>
      this.#client.headManifest(this.#repository, reference, this.#signal),
    )
    this.#sayToken(answer, requests)
    const sent = requests.filter(({ kind }) => kind !== 'token')
    const { descriptor } = this.#require('manifest', answer, sent, nameOf(reference))
    this.#say('manifest', `${kindOf(descriptor)}, ${describe(descriptor)}`, sent)
    return descriptor
  }

  /** The image for one platform, if there are several. */
  async platform(found: Descriptor): Promise<ManifestBody> {
    const whole = await this.#fetch(found)
    if (!isIndexType(found.mediaType)) {
      this.#say('platform', 'it is for one platform, or for none', whole.requests)
      return whole.body
    }
    const { children } = factsOf(whole.body)
    const amd64 = defaultPlatformChild(whole.body.bytes)
    const child = amd64 ?? children[0]
    if (child === undefined) {
      this.#say('platform', 'an index that names nothing', whole.requests)
      return whole.body
    }
    const part = await this.#fetch(child)
    const which = amd64 === undefined ? 'the first' : 'linux/amd64'
    const text = `${which} of ${children.length}, ${describe(child)}`
    this.#say('platform', text, [...whole.requests, ...part.requests])
    return part.body
  }

  async blob(image: ManifestBody): Promise<void> {
    const { children } = factsOf(image)
    const blobs = isIndexType(image.descriptor.mediaType) ? [] : children
    const [config, ...layers] = blobs.filter(({ mediaType }) => !ELSEWHERE.test(mediaType))
    const blob = layers[0] ?? config
    if (blob === undefined) {
      this.#way.say({ name: 'blob', outcome: 'skipped', text: 'it names none' })
      return
    }
    const { answer, requests } = await this.#way.ask(() =>
      this.#client.probeBlob(this.#repository, blob.digest, this.#signal),
    )
    this.#require('blob', answer, requests, blob.digest)
    this.#say('blob', `one of ${blobs.length}, ${describe(blob)}`, requests)
  }

  async #fetch({ digest }: Descriptor): Promise<{
    readonly body: ManifestBody
    readonly requests: readonly UpstreamRequestEvent[]
  }> {
    const reference: Reference = { kind: 'digest', digest }
    const { answer, requests } = await this.#way.ask(() =>
      this.#client.getManifest(this.#repository, reference, this.#signal),
    )
    return { body: this.#require('platform', answer, requests, digest), requests }
  }

  #sayToken(answer: unknown, requests: readonly UpstreamRequestEvent[]): void {
    const sent = requests.filter(({ kind }) => kind === 'token')
    if (answer instanceof UpstreamFailure && isForToken(answer, requests)) {
      this.#way.fail('token', answer, sent)
    }
    const last = sent.at(-1)
    if (last === undefined) {
      this.#way.say({ name: 'token', outcome: 'skipped', text: 'the registry asks for none' })
    } else if (last.status === 200) {
      this.#say('token', `${last.host} gives one`, sent)
    } else {
      // An endpoint behind this one has answered, which wants none.
      const said = last.status === undefined ? 'gives no answer' : `gives none: ${last.status}`
      const text = `${last.host} ${said}; another endpoint was asked instead`
      const advice = `check the \`auth\` and the \`endpoints\` of ${this.#way.upstream.name}`
      const facts = { requests: sent, ms: totalMs(sent), advice }
      this.#way.say({ name: 'token', outcome: 'warned', text, ...facts })
    }
  }

  /** Reports it as failed where there is no answer. */
  #require<T>(
    name: 'manifest' | 'platform' | 'blob',
    answer: T | undefined | UpstreamFailure,
    requests: readonly UpstreamRequestEvent[],
    what: string,
  ): T {
    if (answer instanceof UpstreamFailure) return this.#way.fail(name, answer, requests)
    if (answer !== undefined) return answer
    const text = `${this.#way.upstream.name} says that ${this.#repository} has no ${what}`
    const advice =
      name === 'manifest'
        ? 'check the name and the tag; registries also hide what the credentials may not see'
        : 'the registry lacks a part of the image: whoever published it has to push it again'
    this.#way.say({ name, outcome: 'failed', text, requests, ms: totalMs(requests), advice })
    throw new Error(text)
  }

  #say(
    name: 'token' | 'manifest' | 'platform' | 'blob',
    text: string,
    requests: readonly UpstreamRequestEvent[],
  ): void {
    const host = redirectedTo(requests)
    const from = host === undefined ? '' : `, from ${host}`
    this.#way.say({ name, outcome: 'ok', text: text + from, ms: totalMs(requests), requests })
  }
}

/**
 * Whether the failure lies between the registry's challenge and the token: the last request was for one, or
 * there was none after the challenge, because nothing may be sent where it points, or nothing can be.
 */
function isForToken(failure: UpstreamFailure, requests: readonly UpstreamRequestEvent[]): boolean {
  const last = requests.at(-1)
  if (last === undefined || last.kind === 'token') return true
  return last.status === 401 && failure.kind !== 'denied'
}

function factsOf({ bytes, descriptor }: ManifestBody) {
  return readManifest(bytes, descriptor.mediaType)
}

function nameOf(reference: Reference): string {
  const text = formatReference(reference)
  return reference.kind === 'tag' ? `tag ${text}` : text
}

const KINDS: Readonly<Record<string, string>> = {
  [OCI_INDEX]: 'OCI index',
  [OCI_MANIFEST]: 'OCI manifest',
  [DOCKER_LIST]: 'Docker manifest list',
  [DOCKER_MANIFEST]: 'Docker manifest',
}

function kindOf({ mediaType }: Descriptor): string {
  return KINDS[mediaType] ?? mediaType
}

function describe({ digest, size }: { readonly digest: Digest; readonly size: number }): string {
  return `${size} bytes, ${digest}`
}
