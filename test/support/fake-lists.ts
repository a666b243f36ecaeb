import { isObject, parseJson } from '../../src/oci/json.ts'
import { OCI_INDEX } from '../../src/oci/media-types.ts'
import type { Answer } from './fake-answer.ts'
import { jsonAnswer, textAnswer } from './fake-answer.ts'
import type { RecordedRequest } from './recorded-request.ts'

export interface ListOptions {
  /** Gives all tags, whatever `n` and `last` say, as docker-registry 2.8 does. */
  readonly ignoresPages?: boolean
  /** Goes on behind `last`, and gives all that is left. */
  readonly ignoresLimit?: boolean
  /** In the order in which they were made. */
  readonly unsorted?: boolean
  /** Referrers in one page. Without it there is no referrers API, as in Docker's registry. */
  readonly referrersPage?: number
  /** The tag `sha256-<hex>` is the manifest of that digest, if nobody has set it (GitLab). */
  readonly tagsAreDigests?: boolean
}

/** A manifest as lists of referrers see it. */
export interface ListedManifest {
  readonly mediaType: string
  readonly digest: string
  readonly bytes: Uint8Array
}

/** distribution-spec "Listing Tags". */
export function tagsAnswer(
  tags: readonly string[],
  { query, repository, path }: RecordedRequest,
  { ignoresPages = false, ignoresLimit = false, unsorted = false }: ListOptions,
): Answer {
  const sorted = unsorted ? tags : tags.toSorted()
  if (ignoresPages) return jsonAnswer(200, { name: repository, tags: sorted })
  const limit = ignoresLimit ? Infinity : Number(query.get('n') ?? Infinity)
  const last = query.get('last') ?? ''
  const rest = sorted.filter((tag) => tag > last)
  const page = rest.slice(0, limit)
  const answer = jsonAnswer(200, { name: repository, tags: page })
  if (page.length === rest.length) return answer
  return withLink(answer, `${path}?n=${limit}&last=${page.at(-1)}`)
}

/** distribution-spec "Listing Referrers", without its filter. */
export function referrersAnswer(
  manifests: readonly ListedManifest[],
  { query, reference, path }: RecordedRequest,
  { referrersPage }: ListOptions,
): Answer {
  if (referrersPage === undefined) return textAnswer(404, 'text/plain', '404 page not found\n')
  const all = manifests.flatMap((manifest) => describeReferrer(manifest, reference))
  const start = Number(query.get('from') ?? 0)
  const page = all.slice(start, start + referrersPage)
  const index = { schemaVersion: 2, mediaType: OCI_INDEX, manifests: page }
  const answer = textAnswer(200, OCI_INDEX, JSON.stringify(index))
  const next = start + referrersPage
  return next < all.length ? withLink(answer, `${path}?from=${next}`) : answer
}

/** The entry of a list, if the manifest's subject is the one asked about. */
function describeReferrer(
  { mediaType, digest, bytes }: ListedManifest,
  subject?: string,
): object[] {
  const body = mediaType.endsWith('json') ? parseJson(bytes) : undefined
  if (!isObject(body) || !isObject(body['subject'])) return []
  if (body['subject']['digest'] !== subject) return []
  const { artifactType, annotations, config } = body
  const isStated = typeof artifactType === 'string' && artifactType !== ''
  const type = isStated ? artifactType : isObject(config) ? config['mediaType'] : undefined
  return [{ mediaType, digest, size: bytes.length, artifactType: type, annotations }]
}

function withLink(answer: Answer, target: string): Answer {
  return { ...answer, headers: { ...answer.headers, link: `<${target}>; rel="next"` } }
}
