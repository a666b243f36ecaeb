import { formatRepository } from '../oci/reference.ts'
import type { Repository, UpstreamName } from '../oci/reference.ts'
import type { ListPage } from './lists.ts'
import type { AccessPolicy, Caller, Catalog } from './ports.ts'

export interface RepositoryPage {
  /** Full names, such as `docker.io/library/alpine`: by these clients can pull from us. */
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

/** What we hold of the upstreams that are configured now, as far as the caller may pull it. */
export async function listHeldRepositories(
  { catalog, access, upstreams }: Deps,
  { limit = PAGE, last = '' }: ListPage,
  caller: Caller,
): Promise<RepositoryPage> {
  if (limit === 0) return { names: [], next: undefined }
  const isVisible = (repository: Repository) =>
    upstreams.has(repository.upstream) && access.decide(caller, repository).allowed
  const names: string[] = []
  for (let after: string | undefined = last; after !== undefined;) {
    const batch = await catalog.repositories(after, PAGE)
    for (const repository of batch.filter(isVisible)) {
      if (names.length === limit) return { names, next: names.at(-1) }
      names.push(formatRepository(repository))
    }
    const end = batch.at(-1)
    after = batch.length < PAGE || end === undefined ? undefined : formatRepository(end)
  }
  return { names, next: undefined }
}
