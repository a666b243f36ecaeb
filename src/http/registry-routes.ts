import { RegistryError } from '../oci/registry-error.ts'
import type { Address, Named } from './address.ts'
import { commonHeaders } from './answer-headers.ts'
import { answerBlob, answerBlobHead } from './blob-route.ts'
import type { ContentKind, Exchange } from './exchange.ts'
import { answerCatalog, answerReferrers, answerTags } from './list-routes.ts'
import { answerManifest, answerManifestAtOnce } from './manifest-route.ts'
import { respond } from './respond.ts'
import type { RouteOptions } from './route-options.ts'

export interface RegistryRouteOptions extends RouteOptions {
  /** Whether `_catalog` is answered. */
  readonly catalog: boolean
}

/** Answers what needs nothing but memory: most of what a cluster asks. False: it has done nothing. */
export function answerAtOnce(
  options: RegistryRouteOptions,
  exchange: Exchange,
  address: Address,
): boolean {
  if (address.kind !== 'manifest') return false
  note(exchange, address)
  return answerManifestAtOnce(options, exchange, address.repository, address.reference)
}

/** Answers a registry request whose address has been read. Throws RegistryError. */
export async function answerRegistry(
  options: RegistryRouteOptions,
  exchange: Exchange,
  address: Address,
): Promise<void> {
  const { mirror, catalog } = options
  switch (address.kind) {
    case 'ping':
      return answerPing(exchange)
    case 'manifest':
      note(exchange, address)
      return answerManifest(mirror, exchange, address.repository, address.reference)
    case 'blob': {
      note(exchange, address)
      exchange.subject.reference = address.digest
      const answer = exchange.incoming.method === 'HEAD' ? answerBlobHead : answerBlob
      return answer(options, exchange, address.repository, address.digest)
    }
    case 'tags':
      note(exchange, address)
      return answerTags(mirror, exchange, address)
    case 'referrers':
      note(exchange, address)
      exchange.subject.reference = address.digest
      return answerReferrers(mirror, exchange, address)
    case 'catalog':
      if (catalog) return answerCatalog(mirror, exchange, address)
      throw unsupported('does not list its repositories: `server.catalog: true` turns that on')
    case 'upload':
      throw unsupported('is read-only: push to the registry itself')
  }
}

/** "Are you a registry, and may I come in?" We are, and everyone may. */
function answerPing(exchange: Exchange): void {
  exchange.subject.route = 'ping'
  const headers = {
    ...commonHeaders(exchange),
    'content-type': 'application/json',
    'content-length': '2',
  }
  respond(exchange, 200, headers, '{}')
}

function unsupported(what: string): RegistryError {
  return new RegistryError('UNSUPPORTED', `this mirror ${what}`, { status: 404 })
}

function note(
  exchange: Exchange,
  { kind, repository, route }: Named & { readonly kind: ContentKind },
): void {
  exchange.subject.kind = kind
  exchange.subject.upstream = repository.upstream
  exchange.subject.repository = repository.name
  exchange.varies = route.varies
}
