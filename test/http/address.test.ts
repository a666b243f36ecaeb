import { describe, expect, it } from 'vitest'
import type { Address } from '../../src/http/address.ts'
import { isRegistryTarget, parseAddress } from '../../src/http/address.ts'
import { DOCKER_HUB } from '../../src/oci/reference.ts'
import type { BookOptions, RequestParts } from './address-cases.ts'
import { book, CORP, QUAY, request, SHA256, SHA512 } from './address-cases.ts'

/** `docker.io/library/x:1`, with the row that found it, for comparing a whole table at a glance. */
function describeAddress(address: Address): string {
  switch (address.kind) {
    case 'ping':
      return `ping ${address.upstream ?? ''}`.trim()
    case 'catalog':
      return 'catalog'
    case 'manifest': {
      const { reference } = address
      return `${image(address)}${reference.kind === 'tag' ? `:${reference.tag}` : `@${reference.digest}`}`
    }
    case 'blob':
    case 'referrers':
      return `${address.kind} ${image(address)}@${address.digest}`
    case 'tags':
    case 'upload':
      return `${address.kind} ${image(address)}`
  }
}

function image(address: Exclude<Address, { kind: 'ping' } | { kind: 'catalog' }>): string {
  return `${address.route.row} ${address.repository.upstream}/${address.repository.name}`
}

function read(target: string, parts?: RequestParts, options?: BookOptions): string {
  return describeAddress(parseAddress(request(target, parts), book(options)))
}

function routeOf(target: string, parts?: RequestParts, options?: BookOptions) {
  const address = parseAddress(request(target, parts), book(options))
  return 'route' in address ? address.route : undefined
}

function pageOf(query: string) {
  const address = parseAddress(request(`/v2/a/x/tags/list?${query}`), book())
  return address.kind === 'tags' ? address.page : undefined
}

/** Every row and every exception to it: target, what else the request says, what it means. */
const CASES: readonly [target: string, meaning: string, parts?: RequestParts][] = [
  // 1: ns, as containerd, Docker 29, BuildKit and stargz send it
  ['/v2/library/x/manifests/1?ns=docker.io', 'ns docker.io/library/x:1'],
  ['/v2/library/x/manifests/1?ns=Docker.IO', 'ns docker.io/library/x:1'],
  ['/v2/library/x/manifests/1?ns=docker.io%3A443', 'ns docker.io/library/x:1'],
  ['/v2/library/x/manifests/1?ns=index.docker.io', 'ns docker.io/library/x:1'],
  ['/v2/library/x/manifests/1?ns=registry-1.docker.io', 'ns docker.io/library/x:1'],
  ['/v2/library/x/manifests/1?ns=hub', 'ns docker.io/library/x:1'],
  ['/v2/x/manifests/1?ns=docker.io', 'ns docker.io/library/x:1'],
  ['/v2/x/manifests/1?ns=quay.io', 'ns quay.io/x:1'],
  ['/v2/a/b/manifests/1?ns=registry.corp:5000', 'ns registry.corp:5000/a/b:1'],
  ['/v2/a/b/manifests/1?ns=registry.corp%3A5000', 'ns registry.corp:5000/a/b:1'],
  ['/v2/a/b/manifests/1?n%73=quay.io', 'ns quay.io/a/b:1'],
  ['/v2/a/b/manifests/1?x=1&ns=quay.io&&y', 'ns quay.io/a/b:1'],
  // ns with a path prefix: k3s, Talos, BuildKit with a path, override_path
  ['/v2/docker.io/library/x/manifests/1?ns=docker.io', 'ns docker.io/library/x:1'],
  ['/v2/docker.io/x/manifests/1?ns=docker.io', 'ns docker.io/library/x:1'],
  ['/v2/index.docker.io/library/x/manifests/1?ns=docker.io', 'ns docker.io/library/x:1'],
  ['/v2/q.corp/org/x/manifests/1?ns=quay.io', 'ns quay.io/org/x:1'],
  ['/v2/registry.corp%3A5000/a/manifests/1?ns=registry.corp%3a5000', 'ns registry.corp:5000/a:1'],
  [
    '/v2/docker.io/library/x/manifests/1?ns=registry.corp:5000',
    'ns registry.corp:5000/docker.io/library/x:1',
  ],
  ['/v2/hub/x/manifests/1?ns=docker.io', 'ns docker.io/hub/x:1'],
  ['/v2/hub/v2/manifests/1?ns=docker.io', 'ns docker.io/hub/v2:1'],
  ['/v2/v2/x/manifests/1?ns=docker.io', 'ns docker.io/v2/x:1'],
  // ns with the mirror's own name counts as absent
  ['/v2/library/x/manifests/1?ns=localhost:5000', 'default docker.io/library/x:1'],
  ['/v2/library/x/manifests/1?ns=mirror.lan:5000', 'default docker.io/library/x:1'],
  ['/v2/library/x/manifests/1?ns=mirror.example', 'default docker.io/library/x:1'],
  ['/v2/library/x/manifests/1?ns=mirror.example:443', 'default docker.io/library/x:1'],
  ['/v2/quay.io/org/x/manifests/1?ns=localhost:5000', 'path quay.io/org/x:1'],
  [
    '/v2/org/x/manifests/1?ns=hub.mirror.example',
    'host docker.io/org/x:1',
    { host: 'hub.mirror.example' },
  ],
  ['/v2/org/x/manifests/1?ns=quay.io', 'ns quay.io/org/x:1', { host: 'quay.io' }],
  // 2: oci-ref-name
  ['/v2/library/x/manifests/1?oci-ref-name=docker.io', 'oci-ref-name docker.io/library/x:1'],
  [
    '/v2/library/x/manifests/1?oci-ref-name=docker.io%2Flibrary%2Fx',
    'oci-ref-name docker.io/library/x:1',
  ],
  ['/v2/library/x/manifests/1?oci-ref-name=docker.io/x', 'oci-ref-name docker.io/library/x:1'],
  ['/v2/x/manifests/1?oci-ref-name=hub/library/x', 'oci-ref-name docker.io/library/x:1'],
  ['/v2/quay.io/org/x/manifests/1?oci-ref-name=quay.io/org/x', 'oci-ref-name quay.io/org/x:1'],
  ['/v2/org/x/manifests/1?oci-ref-name=localhost:5000/other', 'default docker.io/org/x:1'],
  ['/v2/org/x/manifests/1?ns=quay.io&oci-ref-name=quay.io/org/x', 'ns quay.io/org/x:1'],
  // 3: headers
  ['/v2/org/x/manifests/1', 'header quay.io/org/x:1', { ociNamespace: 'quay.io' }],
  ['/v2/org/x/manifests/1', 'header quay.io/org/x:1', { ociRefName: 'quay.io/org/x' }],
  ['/v2/org/x/manifests/1', 'header quay.io/org/x:1', { ociRefName: 'Quay.io' }],
  [
    '/v2/org/x/manifests/1',
    'header quay.io/org/x:1',
    { ociNamespace: 'quay', ociRefName: 'quay.io/org/x' },
  ],
  ['/v2/org/x/manifests/1?ns=quay.io', 'ns quay.io/org/x:1', { ociNamespace: 'quay.io' }],
  ['/v2/org/x/manifests/1', 'default docker.io/org/x:1', { ociNamespace: 'localhost:5000' }],
  // 4: a prefix before /v2
  ['/quay.io/v2/org/x/manifests/1', 'prefix quay.io/org/x:1'],
  ['/quay/v2/org/x/manifests/1', 'prefix quay.io/org/x:1'],
  ['/docker.io/v2/x/manifests/1', 'prefix docker.io/library/x:1'],
  ['/registry.corp%3A5000/v2/a/manifests/1', 'prefix registry.corp:5000/a:1'],
  ['/docker.io/v2/library/x/manifests/1?ns=docker.io', 'ns docker.io/library/x:1'],
  ['/quay.io/v2/quay.io/org/x/manifests/1', 'prefix quay.io/org/x:1'],
  ['/quay.io/v2/docker.io/org/x/manifests/1', 'prefix quay.io/docker.io/org/x:1'],
  ['/mirror.example/v2/org/x/manifests/1', 'default docker.io/org/x:1'],
  // 5: the host or port of the request
  ['/v2/org/x/manifests/1', 'host docker.io/org/x:1', { host: 'hub.mirror.example' }],
  ['/v2/x/manifests/1', 'host docker.io/library/x:1', { host: 'HUB.mirror.example:443' }],
  ['/v2/org/x/manifests/1', 'host docker.io/org/x:1', { host: 'hub.mirror.example:5000' }],
  ['/v2/a/manifests/1', 'host registry.corp:5000/a:1', { host: 'corp.mirror.example:8443' }],
  ['/v2/org/x/manifests/1', 'default docker.io/org/x:1', { host: 'corp.mirror.example' }],
  ['/v2/org/x/manifests/1', 'host quay.io/org/x:1', { localPort: 5001 }],
  ['/v2/quay.io/org/x/manifests/1', 'host quay.io/org/x:1', { localPort: 5001 }],
  ['/v2/docker.io/x/manifests/1', 'host quay.io/docker.io/x:1', { localPort: 5001 }],
  ['/v2/org/x/manifests/1?ns=docker.io', 'ns docker.io/org/x:1', { localPort: 5001 }],
  // 6: a prefix inside /v2
  ['/v2/quay.io/org/x/manifests/1', 'path quay.io/org/x:1'],
  ['/v2/QUAY.io/org/x/manifests/1', 'path quay.io/org/x:1'],
  ['/v2/quay.io:443/org/x/manifests/1', 'path quay.io/org/x:1'],
  ['/v2/docker.io/x/manifests/1', 'path docker.io/library/x:1'],
  ['/v2/registry.corp%3a5000/a/manifests/1', 'path registry.corp:5000/a:1'],
  ['/v2/registry.corp:5000/a/manifests/1', 'path registry.corp:5000/a:1'],
  ['/v2/hub/x/manifests/1', 'path docker.io/library/x:1'],
  ['/v2/quay/org/x/manifests/1', 'path quay.io/org/x:1'],
  ['/v2/localhost:5000/library/x/manifests/1', 'default docker.io/library/x:1'],
  ['/v2/mirror.example/quay.io/org/x/manifests/1', 'path quay.io/org/x:1'],
  ['/v2/mirror/x/manifests/1', 'default docker.io/mirror/x:1', { host: 'mirror' }],
  // 7: the default upstream
  ['/v2/library/x/manifests/1', 'default docker.io/library/x:1'],
  ['/v2/x/manifests/1', 'default docker.io/library/x:1'],
  ['/v2/org/deep/er/x/manifests/1', 'default docker.io/org/deep/er/x:1'],
  ['/v2/x/manifests/1?NS=quay.io', 'default docker.io/library/x:1'],
  // endpoints, by the last keyword
  ['/v2', 'ping'],
  ['/v2/', 'ping'],
  ['/v2/?ns=quay.io', 'ping quay.io'],
  ['/quay.io/v2/', 'ping quay.io'],
  ['/quay.io/v2', 'ping quay.io'],
  ['/v2/', 'ping docker.io', { host: 'hub.mirror.example' }],
  ['/v2/_catalog?n=5', 'catalog'],
  ['/v2/a/x/manifests/Latest_1.0', 'default docker.io/a/x:Latest_1.0'],
  [`/v2/a/x/manifests/${SHA256}`, `default docker.io/a/x@${SHA256}`],
  [`/v2/a/x/manifests/sha256%3A${'a'.repeat(64)}`, `default docker.io/a/x@${SHA256}`],
  [`/v2/a/x/blobs/${SHA512}`, `blob default docker.io/a/x@${SHA512}`],
  [`/v2/a/x/referrers/${SHA256}`, `referrers default docker.io/a/x@${SHA256}`],
  ['/v2/a/x/tags/list', 'tags default docker.io/a/x'],
  ['/v2/a/x/manifests/list', 'default docker.io/a/x:list'],
  [`/v2/manifests/blobs/blobs/${SHA256}`, `blob default docker.io/manifests/blobs@${SHA256}`],
  [`/v2/a/tags/list/blobs/${SHA256}`, `blob default docker.io/a/tags/list@${SHA256}`],
  ['/v2/a/manifests/tags/list', 'tags default docker.io/a/manifests'],
  ['/v2/a/blobs/uploads/manifests/1', 'default docker.io/a/blobs/uploads:1'],
  ['/v2/a/x/blobs/uploads/', 'upload default docker.io/a/x'],
  ['/v2/a/x/blobs/uploads', 'upload default docker.io/a/x'],
  ['/v2/quay.io/a/x/blobs/uploads/7c2e-9', 'upload path quay.io/a/x'],
]

describe('parseAddress', () => {
  it.each(CASES)('reads %s as %s', (target, meaning, parts) => {
    expect(read(target, parts)).toBe(meaning)
  })

  it.each(CASES)('reads %s below a base path as %s', (target, meaning, parts) => {
    const options = { basePath: '/cache/oci' }
    expect(read(`/cache/oci${target}`, parts, options)).toBe(meaning)
    expect(isRegistryTarget(target, book(options))).toBe(false)
  })

  it('reads the part of a list that is asked for', () => {
    expect(pageOf('n=50&last=v1.0')).toEqual({ limit: 50, last: 'v1.0' })
    expect(pageOf('n=0&last=')).toEqual({ limit: 0, last: undefined })
    expect(pageOf('n=999999999999')).toEqual({ limit: 10_000, last: undefined })
    expect(pageOf('')).toEqual({ limit: undefined, last: undefined })
  })

  it.each(['application/spdx+json', 'application%2Fspdx%2Bjson'])(
    'reads the artifact type %s with its plus sign',
    (type) => {
      const target = `/v2/a/x/referrers/${SHA256}?artifactType=${type}`
      expect(parseAddress(request(target), book())).toMatchObject({
        artifactType: 'application/spdx+json',
      })
    },
  )

  it('says what our own links have to repeat', () => {
    expect(routeOf('/v2/x/tags/list?n=1&ns=Docker.io%3A443')).toEqual({
      row: 'ns',
      path: '/v2/',
      query: 'ns=Docker.io%3A443',
      varies: false,
    })
    expect(routeOf('/v2/hub/x/tags/list')?.path).toBe('/v2/hub/')
    expect(routeOf('/v2/mirror.example/quay.io/x/tags/list')?.path).toBe(
      '/v2/mirror.example/quay.io/',
    )
    expect(routeOf('/base/quay.io/v2/x/tags/list', {}, { basePath: '/base' })?.path).toBe(
      '/base/quay.io/v2/',
    )
    expect(routeOf('/v2/x/tags/list', { ociNamespace: 'quay.io' })?.varies).toBe(true)
    expect(routeOf('/v2/x/tags/list?oci-ref-name=quay.io/x')?.query).toBe(
      'oci-ref-name=quay.io%2Fx',
    )
  })

  it('asks for a registry when there is no default upstream', () => {
    expect(() => read('/v2/library/x/manifests/1', {}, { defaultUpstream: undefined })).toThrow(
      /names no registry.*\/v2\/quay\.io\/org\/image; it mirrors docker\.io, quay\.io/,
    )
    expect(read('/v2/quay.io/x/manifests/1', {}, { defaultUpstream: undefined })).toBe(
      'path quay.io/x:1',
    )
  })

  it('inserts library/ for Docker Hub only', () => {
    expect(read('/v2/x/manifests/1', {}, { defaultUpstream: QUAY })).toBe('default quay.io/x:1')
    expect(read('/v2/x/manifests/1', {}, { defaultUpstream: CORP })).toBe(
      'default registry.corp:5000/x:1',
    )
    expect(read('/v2/x/manifests/1', {}, { defaultUpstream: DOCKER_HUB })).toBe(
      'default docker.io/library/x:1',
    )
  })

  it('leaves every path outside /v2 to other routes', () => {
    for (const target of [
      '/',
      '/livez',
      '/readyz?verbose',
      '/v2x',
      '/V2/',
      '/a/b/v2/',
      '/v1/_ping',
    ]) {
      expect([target, isRegistryTarget(target, book())]).toEqual([target, false])
      expect(() => read(target)).toThrow(/is not below \/v2\//)
    }
  })
})
