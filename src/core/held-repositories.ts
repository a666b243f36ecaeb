import { formatRepository } from '../oci/reference.ts'
import type { Repository, UpstreamName } from '../oci/reference.ts'
import type { ListPage } from './lists.ts'
import type { AccessPolicy, Caller } from './access-policy.ts'
import type { Catalog } from './ports.ts'

export interface RepositoryPage {
  /** By these clients can pull from us. */
  readonly names: readonly string[]
  /** The `last` of the next page, if there is one. */
  readonly next: string | undefined
}

interface Deps {
  readonly catalog: Pick<Catalog, 'repositories'>
  readonly access: AccessPolicy
  readonly upstreams: ReadonlyMap<UpstreamName, unknown>
}

const PAGE = 1_000

/**
 * What we hold as far as the caller may pull it: of one upstream, by names such as `library/alpine`, or of
 * all that are configured now, by full names such as `docker.io/library/alpine`.
 */
export async function listHeldRepositories(
  { catalog, access, upstreams }: Deps,
  upstream: UpstreamName | undefined,
  { limit = PAGE, last = '' }: ListPage,
  caller: Caller,
): Promise<RepositoryPage> {
  if (limit === 0) return { names: [], next: undefined }
  const isVisible = (repository: Repository) =>
    upstreams.has(repository.upstream) && access.decide(caller, repository).allowed
  // The catalog is in the order of full names, in which those of one upstream are neighbours.
  const prefix = upstream === undefined ? '' : `${upstream}/`
  const isAsked = (repository: Repository) =>
    upstream === undefined || repository.upstream === upstream
  const names: string[] = []
  for (let after: string | undefined = prefix + last; after !== undefined;) {
    const batch = await catalog.repositories(after, PAGE)
    for (const repository of batch.filter((one) => isAsked(one) && isVisible(one))) {
      if (names.length === limit) return { names, next: names.at(-1) }
      names.push(formatRepository(repository).slice(prefix.length))
    }
    const end = batch.at(-1)
    const isOver = batch.length < PAGE || end === undefined || !isAsked(end)
    after = isOver ? undefined : formatRepository(end)
  }
  return { names, next: undefined }
}
