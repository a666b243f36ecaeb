import type { IncomingMessage } from 'node:http'

/** Which of the fake's servers was asked. */
export type ServerRole = 'registry' | 'token' | 'cdn'

export type RequestKind = 'ping' | 'manifest' | 'blob' | 'tags' | 'referrers' | 'token' | 'other'

export interface RecordedRequest {
  readonly server: ServerRole
  readonly kind: RequestKind
  readonly method: string
  readonly path: string
  readonly query: URLSearchParams
  /** Names in lower case; several lines of one name joined by a comma. */
  readonly headers: Readonly<Record<string, string>>
  readonly repository: string | undefined
  readonly reference: string | undefined
  /** When it arrived, in milliseconds since the epoch. */
  readonly at: number
  /** 0 until it is answered. */
  status: number
  /** Bytes of the body that the connection has taken so far. */
  bytesSent: number
}

/** Every field that is given has to be so. */
export interface RequestFilter {
  readonly server?: ServerRole
  readonly kind?: RequestKind
  readonly method?: string
  readonly repository?: string
  readonly reference?: string
  /** Whether it asks for a range. */
  readonly ranged?: boolean
  readonly status?: number
}

const RESOURCE = /^\/(?:v2|cdn)\/(.+)\/(manifests|blobs|tags|referrers)\/([^/]+)$/
const KINDS: Readonly<Record<string, RequestKind>> = {
  manifests: 'manifest',
  blobs: 'blob',
  tags: 'tags',
  referrers: 'referrers',
}

/** `prefix` is what the fake has before its `/v2`, or nothing; `tokenPath` is where it gives tokens. */
export function recordRequest(
  server: ServerRole,
  incoming: IncomingMessage,
  prefix: string,
  tokenPath: string,
): RecordedRequest {
  const [path = '', query = ''] = (incoming.url ?? '').split(/\?(.*)/s)
  const below = path.startsWith(prefix) ? path.slice(prefix.length) : path
  const resource = RESOURCE.exec(below)
  const kind = path === tokenPath ? 'token' : below === '/v2/' ? 'ping' : 'other'
  return {
    server,
    kind: KINDS[resource?.[2] ?? ''] ?? kind,
    method: incoming.method ?? '',
    path,
    query: new URLSearchParams(query),
    headers: Object.fromEntries(
      Object.entries(incoming.headers).map(([name, value]) => [name, [value].flat().join(', ')]),
    ),
    repository: resource?.[1],
    reference: resource?.[3]?.replace(/%3a/i, ':'),
    at: Date.now(),
    status: 0,
    bytesSent: 0,
  }
}

export function matchesFilter(request: RecordedRequest, filter: RequestFilter): boolean {
  const { ranged, ...fields } = filter
  if (ranged !== undefined && ranged !== (request.headers['range'] !== undefined)) return false
  const names = Object.keys(fields) as (keyof typeof fields)[]
  return names.every((name) => fields[name] === undefined || fields[name] === request[name])
}
