import type { ManifestBody, ManifestHead } from '../core/upstream.ts'
import type { Digest } from '../oci/digest.ts'
import { digestAlgorithm, digestOf, parseDigest } from '../oci/digest.ts'
import type { ManifestFacts } from '../oci/manifest.ts'
import { ManifestMismatch, MAX_MANIFEST_BYTES, readManifest } from '../oci/manifest.ts'
import { MANIFEST_ACCEPT } from '../oci/media-types.ts'
import type { Reference, RepositoryName } from '../oci/reference.ts'
import { formatReference } from '../oci/reference.ts'
import { parseContentLength } from './content-range.ts'
import type { Answer, RegistryClient, RegistryRequest } from './registry-client.ts'
import type { Reply } from './reply.ts'
import { retried } from './retry.ts'
import { confirmGone, misbehaved, refusal } from './unexpected-answer.ts'

/** For the whole body of a manifest. */
const READ_MS = 60_000

/** RFC 6838 §4.2: what may stand in a Content-Type that we repeat to clients. */
const MEDIA_TYPE = /^[a-z0-9][a-z0-9!#$&^_.+-]{0,126}\/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}$/

/** Retried as a whole, because a body that breaks is read again from its beginning. */
export function getManifest(
  client: RegistryClient,
  repository: RepositoryName,
  reference: Reference,
  signal: AbortSignal,
): Promise<ManifestBody | undefined> {
  const request = manifestRequest('GET', repository, reference)
  return retried(client.clock, signal, () => getOnce(client, request, reference, signal))
}

async function getOnce(
  client: RegistryClient,
  request: RegistryRequest,
  reference: Reference,
  signal: AbortSignal,
): Promise<ManifestBody | undefined> {
  const answer = await client.ask(request, signal)
  const { reply } = answer
  if (reply.status === 404) return confirmGone(answer)
  if (reply.status !== 200) throw await refusal(answer, client.clock.now())
  const bytes = await reply.read(MAX_MANIFEST_BYTES, READ_MS)
  if (bytes === undefined) {
    const most = `${MAX_MANIFEST_BYTES} bytes, the most that registries and clients agree on`
    throw misbehaved(reply, `sent a manifest of more than ${most}`)
  }
  const digest = checkedDigest(reply, reference, bytes)
  const { mediaType } = checkedFacts(reply, bytes)
  return { descriptor: { mediaType, digest, size: bytes.length }, bytes }
}

export async function headManifest(
  client: RegistryClient,
  repository: RepositoryName,
  reference: Reference,
  signal: AbortSignal,
): Promise<ManifestHead | undefined> {
  const request = manifestRequest('HEAD', repository, reference)
  const answer = await retried(client.clock, signal, () => client.ask(request, signal))
  const { reply } = answer
  await reply.discard()
  if (reply.status === 404 && reply.mediaType.endsWith('json')) return undefined
  if (reply.status === 200) {
    const told = readHead(reply, reference)
    if (told !== undefined) return told
  } else if (!mayAnswerGet(answer)) {
    throw await refusal(answer, client.clock.now())
  }
  return getManifest(client, repository, reference, signal)
}

function manifestRequest(
  method: 'GET' | 'HEAD',
  repository: RepositoryName,
  reference: Reference,
): RegistryRequest {
  const path = `manifests/${formatReference(reference)}`
  return { kind: 'manifest', method, repository, path, headers: { accept: MANIFEST_ACCEPT } }
}

/** 404 without a registry's content type may be anybody's: a GET has a body that tells. */
function mayAnswerGet({ reply, isOwn }: Answer): boolean {
  if ([401, 404, 405].includes(reply.status)) return true
  // Presigned URLs are for one method; storage refuses the other with 403 (S3, R2).
  return !isOwn && reply.status >= 400
}

/** `undefined` if the headers do not say all of it, which distribution-spec 1.1 only recommends. */
function readHead(reply: Reply, reference: Reference): ManifestHead | undefined {
  const digest = statedDigest(reply)
  const size = parseContentLength(reply.header('content-length')) ?? 0
  const { mediaType } = reply
  if (digest === undefined || size === 0 || size > MAX_MANIFEST_BYTES) return undefined
  if (reference.kind === 'digest' && reference.digest !== digest) return undefined
  // `application/json` and the like leave it to the body to say what it is.
  if (!mediaType.startsWith('application/vnd.') || !MEDIA_TYPE.test(mediaType)) return undefined
  return { descriptor: { mediaType, digest, size } }
}

/**
 * Always computed. Registries state wrong digests for tags often enough that the header decides nothing
 * but the algorithm, so that HEAD and GET of one tag agree.
 */
function checkedDigest(reply: Reply, reference: Reference, bytes: Uint8Array): Digest {
  const stated = statedDigest(reply)
  const expected = reference.kind === 'digest' ? reference.digest : stated
  const digest = digestOf(bytes, expected && digestAlgorithm(expected))
  if (reference.kind === 'digest' && digest !== expected) {
    throw misbehaved(reply, `sent a body with the digest ${digest}`)
  }
  const encoding = reply.header('content-encoding') ?? 'identity'
  if (encoding !== 'identity' && digest !== expected) {
    throw misbehaved(reply, 'sent a compressed body, although we accept none')
  }
  return digest
}

function checkedFacts(reply: Reply, bytes: Uint8Array): ManifestFacts {
  try {
    const facts = readManifest(bytes, reply.header('content-type') ?? '')
    if (MEDIA_TYPE.test(facts.mediaType)) return facts
  } catch (cause) {
    if (!(cause instanceof ManifestMismatch)) throw cause
    throw misbehaved(reply, cause.message, cause)
  }
  throw misbehaved(reply, 'stated a media type that is none')
}

function statedDigest(reply: Reply): Digest | undefined {
  return parseDigest(reply.header('docker-content-digest') ?? '')
}
