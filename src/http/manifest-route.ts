import { ANONYMOUS } from '../core/access-policy.ts'
import type { ManifestRequest } from '../core/manifest-requests.ts'
import type { Mirror } from '../core/mirror.ts'
import type { ManifestAnswer } from '../core/outcome.ts'
import type { Reference, Repository } from '../oci/reference.ts'
import { formatReference } from '../oci/reference.ts'
import { DOCKER_LIST, OCI_INDEX } from '../oci/media-types.ts'
import type { HeaderFields } from './answer-headers.ts'
import { commonHeaders, contentHeaders, hasAlready } from './answer-headers.ts'
import type { Exchange } from './exchange.ts'
import { respond } from './respond.ts'
import type { RouteOptions } from './route-options.ts'

const INDEX_TYPES = [OCI_INDEX, DOCKER_LIST, '*/*', 'application/*']

/** GET and HEAD `<name>/manifests/<reference>`. */
export async function answerManifest(
  mirror: Mirror,
  exchange: Exchange,
  repository: Repository,
  reference: Reference,
): Promise<void> {
  const request = readRequest(exchange, repository, reference)
  const answer = await mirror.manifest(request, ANONYMOUS, exchange.signal)
  reply(exchange, repository, answer)
}

/** The same, if it is in memory. False: it has done nothing. */
export function answerManifestAtOnce(
  { mirror, turns }: RouteOptions,
  exchange: Exchange,
  repository: Repository,
  reference: Reference,
): boolean {
  const request = readRequest(exchange, repository, reference)
  const answer = mirror.recallManifest(request, ANONYMOUS)
  if (answer === undefined) return false
  const { socket } = exchange.outgoing
  if (socket !== null) turns.hold(socket)
  reply(exchange, repository, answer)
  return true
}

function readRequest(
  { incoming, subject }: Exchange,
  repository: Repository,
  reference: Reference,
): ManifestRequest {
  subject.reference = formatReference(reference)
  const need = incoming.method === 'HEAD' ? 'descriptor' : 'manifest'
  return { repository, reference, need, acceptsIndex: acceptsIndex(incoming.headers.accept) }
}

function reply(exchange: Exchange, { upstream }: Repository, answer: ManifestAnswer): void {
  const { incoming, subject } = exchange
  const { descriptor, bytes, outcome, detail } = answer
  subject.outcome = outcome
  if (detail !== undefined) subject.detail = detail
  const headers: HeaderFields = {
    ...commonHeaders(exchange),
    ...contentHeaders(descriptor.digest, upstream, answer),
    'content-type': descriptor.mediaType,
  }
  if (hasAlready(incoming.headers['if-none-match'], descriptor.digest)) {
    respond(exchange, 304, headers)
    return
  }
  headers['content-length'] = String(descriptor.size)
  if (incoming.method !== 'HEAD' && bytes === undefined) {
    throw new Error('a manifest was asked for and only its descriptor came')
  }
  respond(exchange, 200, headers, bytes)
}

/** No `Accept` and wildcards mean anything; a list without any index type is from an old client. */
function acceptsIndex(accept: string | undefined): boolean {
  if (accept === undefined || accept.trim() === '') return true
  return INDEX_TYPES.some((type) => accept.includes(type))
}
