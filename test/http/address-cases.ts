import { compileAddressBook } from '../../src/http/address-book.ts'
import type { RequestTarget } from '../../src/http/request-target.ts'
import { DOCKER_HUB, parseUpstreamName } from '../../src/oci/reference.ts'
import type { UpstreamName } from '../../src/oci/reference.ts'

export const SHA256 = `sha256:${'a'.repeat(64)}`
export const SHA512 = `sha512:${'b'.repeat(128)}`

export function upstreamName(text: string): UpstreamName {
  const name = parseUpstreamName(text)
  if (name === undefined) throw new Error(`${text} is no upstream's name`)
  return name
}

export const QUAY = upstreamName('quay.io')
export const CORP = upstreamName('registry.corp:5000')

export interface BookOptions {
  readonly basePath?: string
  readonly defaultUpstream?: UpstreamName | undefined
}

/** Three upstreams; the mirror is `mirror.example` (https) and `mirror.lan:5000`. */
export function book(options: BookOptions = {}) {
  return compileAddressBook({
    upstreams: [
      { name: DOCKER_HUB, aliases: ['Hub'], hosts: ['Hub.Mirror.Example'] },
      { name: QUAY, aliases: ['quay', 'q.corp'], hosts: [':5001'] },
      { name: CORP, aliases: [], hosts: ['corp.mirror.example:8443'] },
    ],
    names: ['Mirror.Lan:5000'],
    publicUrl: new URL('https://mirror.example/'),
    basePath: '',
    defaultUpstream: DOCKER_HUB,
    ...options,
  })
}

export interface RequestParts {
  readonly host?: string | readonly string[]
  readonly ociNamespace?: string | readonly string[]
  readonly ociRefName?: string | readonly string[]
  readonly localPort?: number
}

export function request(target: string, parts: RequestParts = {}): RequestTarget {
  return {
    target,
    host: [parts.host ?? 'localhost:5000'].flat(),
    ociNamespace: [parts.ociNamespace ?? []].flat(),
    ociRefName: [parts.ociRefName ?? []].flat(),
    localPort: parts.localPort ?? 5000,
  }
}

/** What `compileAddressBook` needs besides upstreams. */
export const DOCKER_HUB_BOOK = {
  names: [],
  publicUrl: undefined,
  basePath: '',
  defaultUpstream: DOCKER_HUB,
} as const
