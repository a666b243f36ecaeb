import type { BlobProof, BlobRest, UpstreamBlob } from '../core/upstream.ts'
import type { ByteRange } from '../oci/byte-range.ts'
import type { Digest } from '../oci/digest.ts'
import type { RepositoryName } from '../oci/reference.ts'
import { BlobDownload } from './blob-download.ts'
import { fromByte, refuseHtml, restOfBlob } from './blob-part.ts'
import { rangeOfBlob } from './blob-range.ts'
import { parseContentLength, parseContentRange, parseUnsatisfiedRange } from './content-range.ts'
import type { RegistryClient, RegistryRequest } from './registry-client.ts'
import type { Reply } from './reply.ts'
import { retried } from './retry.ts'
import { confirmGone, misbehaved, refusal } from './unexpected-answer.ts'

/** The whole blob, resuming. Nothing here ever sends HEAD for a blob: presigned URLs refuse it. */
export function getBlob(
  client: RegistryClient,
  repository: RepositoryName,
  digest: Digest,
  signal: AbortSignal,
): Promise<UpstreamBlob | undefined> {
  return download(client, blobRequest(repository, digest), { start: 0, size: undefined }, signal)
}

/** What an earlier download left to fetch, resuming. */
export function resumeBlob(
  client: RegistryClient,
  repository: RepositoryName,
  digest: Digest,
  rest: BlobRest,
  signal: AbortSignal,
): Promise<UpstreamBlob | undefined> {
  return download(client, blobRequest(repository, digest), rest, signal)
}

async function download(
  client: RegistryClient,
  request: RegistryRequest,
  { start, size }: BlobRest,
  signal: AbortSignal,
): Promise<UpstreamBlob | undefined> {
  const first = start === 0 ? request : fromByte(request, start, size)
  const ended = new AbortController()
  const either = AbortSignal.any([signal, ended.signal])
  const answer = await retried(client.clock, either, () => client.ask(first, either))
  const { reply } = answer
  if (reply.status === 404) return confirmGone(answer)
  const isRest = start > 0 && reply.status === 206
  if (reply.status !== 200 && !isRest) throw await refusal(answer, client.clock.now())
  const part = restOfBlob(reply, start, size)
  const source = { client, request, signal: either, ended }
  return { size: part.size, body: new BlobDownload(source, part, start) }
}

/** One range, in one attempt: who asks for it can get the bytes in another way. */
export async function getBlobRange(
  client: RegistryClient,
  repository: RepositoryName,
  digest: Digest,
  range: ByteRange,
  signal: AbortSignal,
): Promise<UpstreamBlob | undefined> {
  const request = blobRequest(repository, digest)
  const headers = { ...request.headers, range: `bytes=${range.start}-${range.end - 1}` }
  const answer = await client.ask({ ...request, headers }, signal)
  const { reply } = answer
  if (reply.status === 404) return confirmGone(answer)
  if (reply.status === 200 || reply.status === 206) return rangeOfBlob(reply, range, signal)
  throw await refusal(answer, client.clock.now())
}

export async function probeBlob(
  client: RegistryClient,
  repository: RepositoryName,
  digest: Digest,
  signal: AbortSignal,
): Promise<BlobProof | undefined> {
  const request = blobRequest(repository, digest)
  const headers = { ...request.headers, range: 'bytes=0-0' }
  const answer = await retried(client.clock, signal, () =>
    client.ask({ ...request, headers }, signal),
  )
  const { reply } = answer
  if (reply.status === 404) return confirmGone(answer)
  if (reply.status === 200) {
    // The range was ignored, and the whole blob is on its way.
    reply.drop()
    refuseHtml(reply)
    return { size: parseContentLength(reply.header('content-length')) }
  }
  if (reply.status !== 206 && reply.status !== 416) throw await refusal(answer, client.clock.now())
  await reply.discard()
  return reply.status === 206 ? readPart(reply) : readUnsatisfied(reply)
}

function blobRequest(repository: RepositoryName, digest: Digest): RegistryRequest {
  const path = `blobs/${digest}`
  return { kind: 'blob', method: 'GET', repository, path, headers: { accept: '*/*' } }
}

function readPart(reply: Reply): BlobProof {
  const range = parseContentRange(reply.header('content-range'))
  if (range?.start === 0) return { size: range.total }
  throw misbehaved(reply, 'answered 206 with another range than the one asked for')
}

/** Only an empty blob has no first byte. */
function readUnsatisfied(reply: Reply): BlobProof {
  const header = reply.header('content-range')
  const size = parseUnsatisfiedRange(header)
  if (header === undefined || size === 0) return { size }
  throw misbehaved(reply, 'says that the first byte of a blob that has one does not exist')
}
