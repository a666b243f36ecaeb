import type { Mirror } from '../core/mirror.ts'
import type { Reference, Repository } from '../oci/reference.ts'
import { formatReference } from '../oci/reference.ts'
import { DOCKER_LIST, OCI_INDEX } from '../oci/media-types.ts'
import type { HeaderFields } from './answer-headers.ts'
import { commonHeaders, contentHeaders, hasAlready } from './answer-headers.ts'
import type { Exchange } from './exchange.ts'
import { send } from './send.ts'

/** GET and HEAD `<name>/manifests/<reference>`. */
export async function answerManifest(
  mirror: Mirror,
  exchange: Exchange,
  repository: Repository,
  reference: Reference,
): Promise<Response> {
  const { incoming, subject } = exchange
  const isHead = incoming.method === 'HEAD'
  subject.reference = formatReference(reference)
  const answer = await mirror.manifest(
    {
      repository,
      reference,
      need: isHead ? 'descriptor' : 'manifest',
      acceptsIndex: acceptsIndex(incoming.headers.accept),
    },
    { kind: 'anonymous' },
    exchange.signal,
  )
  subject.outcome = answer.outcome
  if (answer.detail !== undefined) subject.detail = answer.detail
  const { descriptor, bytes } = answer
  const headers: HeaderFields = {
    ...commonHeaders(exchange),
    ...contentHeaders(descriptor.digest, repository.upstream, answer),
    'content-type': descriptor.mediaType,
  }
  if (hasAlready(incoming.headers['if-none-match'], descriptor.digest)) {
    return send(exchange, 304, headers)
  }
  headers['content-length'] = String(descriptor.size)
  if (isHead) return send(exchange, 200, headers)
  if (bytes === undefined) throw new Error('a manifest was asked for and only its descriptor came')
  return send(exchange, 200, headers, bytes)
}

/** No `Accept` and wildcards mean anything; a list without any index type is from an old client. */
function acceptsIndex(accept: string | undefined): boolean {
  if (accept === undefined || accept.trim() === '') return true
  return [OCI_INDEX, DOCKER_LIST, '*/*', 'application/*'].some((type) => accept.includes(type))
}
