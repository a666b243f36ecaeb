import type { Mirror } from '../core/mirror.ts'
import { RegistryError } from '../oci/registry-error.ts'
import type { Address, Named } from './address.ts'
import { commonHeaders } from './answer-headers.ts'
import { answerBlob, answerBlobHead } from './blob-route.ts'
import type { Exchange } from './exchange.ts'
import { answerManifest } from './manifest-route.ts'
import { send } from './send.ts'

/** Answers a registry request whose address has been read. Throws RegistryError. */
export async function answerRegistry(
  mirror: Mirror,
  exchange: Exchange,
  address: Address,
): Promise<Response> {
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
      return answer(mirror, exchange, address.repository, address.digest)
    }
    case 'upload':
    case 'catalog':
    case 'tags':
    case 'referrers':
      // 404 with any code but NAME_UNKNOWN makes clients go on to the referrers tag.
      throw new RegistryError(
        'UNSUPPORTED',
        `this mirror does not answer ${address.kind} requests`,
        {
          status: 404,
        },
      )
  }
}

/** "Are you a registry, and may I come in?" We are, and everyone may. */
function answerPing(exchange: Exchange): Response {
  exchange.subject.route = 'ping'
  const headers = {
    ...commonHeaders(exchange),
    'content-type': 'application/json',
    'content-length': '2',
  }
  return send(exchange, 200, headers, '{}')
}

function note(exchange: Exchange, { repository, route }: Named): void {
  exchange.subject.upstream = repository.upstream
  exchange.subject.repository = repository.name
  exchange.varies = route.varies
}
