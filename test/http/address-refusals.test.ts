import { describe, expect, it } from 'vitest'
import { isRegistryTarget, parseAddress } from '../../src/http/address.ts'
import { compileAddressBook } from '../../src/http/address-book.ts'
import { RegistryError } from '../../src/oci/registry-error.ts'
import type { RequestParts } from './address-cases.ts'
import { book, DOCKER_HUB_BOOK, request, SHA256, upstreamName } from './address-cases.ts'

const IMAGE = '/v2/library/x/manifests/1'

function refusal(target: string, parts?: RequestParts, names = book()): RegistryError {
  try {
    parseAddress(request(target, parts), names)
  } catch (error) {
    if (error instanceof RegistryError) return error
    throw error
  }
  throw new Error(`${target} was not refused`)
}

function verdict(target: string, parts?: RequestParts): string {
  const { status, code } = refusal(target, parts)
  return `${status} ${code}`
}

describe('a malformed request target', () => {
  it.each([
    '',
    '*',
    'v2/',
    'http://evil.example/v2/',
    'HTTP://evil.example/v2/library/x/manifests/1',
    'mirror.example:443',
    '//v2/',
    '/v2//library/x/manifests/1',
    '//evil.example/v2/',
    '/v2/library/x/manifests//1',
    '/v2/a/../../admin',
    '/v2/..',
    '/../v2/',
    '/v2/./x/manifests/1',
    '/v2/%2e%2e/%2e%2e/x',
    '/v2/%2E./x',
    '/v2/%2e/x',
    '/v2/library%2Fx/manifests/1',
    '/v2/library%2fx/manifests/1',
    '/v2/library%5Cx/manifests/1',
    '/v2/library%255Cx/manifests/1',
    '/v2/library/x/manifests/1%00',
    '/v2/library/x/manifests/1%0d%0aHost:%20evil',
    '/v2/library/x%3F/manifests/1',
    '/v2/library/x%253A/manifests/1',
    '/v2/%3',
    '/v2/%',
    '/v2/library\\x/manifests/1',
    '/v2/library/x/manifests/1#fragment',
    '/v2/library/x/manifests/1?ns=docker.io#x',
    '/v2/library/x/manifests/1\u0000',
    '/v2/library/x/manifests/1\r\nHost: evil',
    '/v2/library/x/manifests/1 HTTP/1.1',
    '/v2/bücher/manifests/1',
    '/v2/library/x/manifests/１',
    '/v2/library/x/manifests/1?ns=dockér.io',
    '/livez/../v2/',
    '/livez%2f..',
    `/v2/${'a'.repeat(8192)}/manifests/1`,
  ])('%j is refused before any other router sees it', (target) => {
    expect(verdict(target)).toBe('400 NAME_INVALID')
    expect(isRegistryTarget(target, book())).toBe(true)
  })
})

describe('a selector that is no name', () => {
  it.each([
    '',
    'http://169.254.169.254/latest',
    'https%3A%2F%2Fquay.io',
    'user@quay.io',
    'user:secret@quay.io',
    'quay.io/org',
    'quay.io%00',
    'quay.io%0d%0aX-Evil:%201',
    'quay.io%20',
    ' quay.io'.replace(' ', '%20'),
    'quay.io.',
    '.quay.io',
    'quay..io',
    'quay.io:',
    'quay.io:99999',
    'quay.io:5000:5000',
    '-quay.io',
    '%E2%91%A0%E2%91%A1%E2%91%A6.0.0.1',
    'doc%E2%84%AAer.io',
    'quay%E3%80%82io',
    '..%2F..%2Fetc%2Fpasswd',
    '[::1',
    '*',
    'a'.repeat(300),
  ])('ns=%s is refused', (value) => {
    expect(verdict(`${IMAGE}?ns=${value}`)).toBe('400 NAME_INVALID')
  })

  it.each(['%', '%zz', '%c3%28', '%ff'])(
    'the bad escape %s is refused anywhere in a query',
    (bad) => {
      expect(verdict(`${IMAGE}?ns=${bad}`)).toBe('400 NAME_INVALID')
      expect(verdict(`${IMAGE}?other=${bad}`)).toBe('400 NAME_INVALID')
    },
  )

  it.each([
    'docker.io/library/x:1',
    `docker.io/library/x@${SHA256}`,
    'docker.io/',
    'docker.io//x',
    'docker.io/Library/x',
    '/library/x',
  ])('oci-ref-name=%s is refused', (value) => {
    expect(verdict(`${IMAGE}?oci-ref-name=${encodeURIComponent(value)}`)).toBe('400 NAME_INVALID')
  })
})

describe('a selector that is not configured', () => {
  it.each([
    ['/v2/library/x/manifests/1?ns=evil.example'],
    ['/v2/library/x/manifests/1?ns=169.254.169.254'],
    ['/v2/library/x/manifests/1?ns=2130706433'],
    ['/v2/library/x/manifests/1?ns=0x7f.1'],
    ['/v2/library/x/manifests/1?ns=127.0.0.1:5000'],
    ['/v2/library/x/manifests/1?ns=[::1]:5000'],
    ['/v2/library/x/manifests/1?ns=notdocker.io'],
    ['/v2/library/x/manifests/1?ns=docker.io.evil.example'],
    ['/v2/library/x/manifests/1?ns=docker.io:80'],
    ['/v2/library/x/manifests/1?ns=registry.corp'],
    ['/v2/library/x/manifests/1?ns=hub.mirror.example'],
    ['/v2/docker.io/library/x/manifests/1?ns=evil.example'],
    ['/v2/library/x/manifests/1?oci-ref-name=evil.example/library/x'],
    ['/v2/library/x/manifests/1', { ociNamespace: 'evil.example' }],
    ['/v2/library/x/manifests/1', { ociRefName: 'evil.example/library/x' }],
    ['/v2/library/x/manifests/1?ns=evil.example', { host: 'hub.mirror.example' }],
    ['/evil.example/v2/library/x/manifests/1'],
    ['/nothing/v2/library/x/manifests/1'],
    ['/evil.example/v2/'],
    ['/v2/evil.example/library/x/manifests/1'],
    ['/v2/private.corp/x/manifests/1'],
    ['/v2/localhost/x/manifests/1'],
    ['/v2/LOCALHOST/x/manifests/1'],
    ['/v2/localhost:6000/x/manifests/1'],
    ['/v2/mirror.example/evil.example/x/manifests/1'],
    ['/v2/?ns=evil.example'],
  ] as [string, RequestParts?][])('%s is unknown and nothing else is tried', (target, parts) => {
    expect(verdict(target, parts)).toBe('404 NAME_UNKNOWN')
    expect(refusal(target, parts).message).toContain(
      'it mirrors docker.io, quay.io, registry.corp:5000',
    )
  })

  it('lists no more than 20 upstreams', () => {
    const upstreams = Array.from({ length: 25 }, (_, index) => ({
      name: upstreamName(`r${index}.example`),
      aliases: [],
      hosts: [],
    }))
    const many = compileAddressBook({ ...DOCKER_HUB_BOOK, upstreams, defaultUpstream: undefined })
    const { message } = refusal(`${IMAGE}?ns=evil.example`, {}, many)
    expect(message).toMatch(/r18\.example, r19\.example and 5 more$/)
  })
})

describe('a request that says two things', () => {
  it.each([
    ['?ns=docker.io&ns=docker.io'],
    ['?ns=docker.io&n%73=quay.io'],
    ['?ns=docker.io&ns'],
    ['?oci-ref-name=docker.io&oci-ref-name=docker.io'],
    ['?ns=docker.io&oci-ref-name=quay.io'],
    ['?ns=evil.example&oci-ref-name=quay.io'],
    ['?ns=docker.io', { ociNamespace: 'quay.io' }],
    ['?ns=docker.io', { ociRefName: 'quay.io/library/x' }],
    ['', { ociNamespace: 'docker.io', ociRefName: 'quay.io' }],
    ['', { ociNamespace: ['docker.io', 'docker.io'] }],
    ['', { ociNamespace: 'docker.io, quay.io' }],
    ['', { ociRefName: ['docker.io', 'quay.io'] }],
    ['?oci-ref-name=docker.io/library/y'],
    ['?oci-ref-name=docker.io/x/library'],
    ['?ns=docker.io', { ociRefName: 'docker.io/library/y' }],
    ['?oci-ref-name=docker.io/library/x', { ociRefName: 'docker.io/library/y' }],
  ] as [string, RequestParts?][])('%s is refused', (query, parts) => {
    expect(verdict(`${IMAGE}${query}`, parts)).toBe('400 NAME_INVALID')
  })

  it('is refused when the path before /v2 contradicts ns', () => {
    expect(verdict('/quay.io/v2/org/x/manifests/1?ns=docker.io')).toBe('400 NAME_INVALID')
    expect(refusal('/quay.io/v2/org/x/manifests/1?ns=docker.io').message).toBe(
      'the query parameter ns ("docker.io") and the path before /v2 ("quay.io") name two upstreams',
    )
  })
})

describe('a bad Host header', () => {
  it.each([
    '',
    'a b',
    'x/y',
    '[::1',
    '::1',
    'a@b',
    'localhost,evil',
    'localhost:5000:1',
    'localhost:99999',
    'localhost:',
    'a\\b',
    'a?b',
    'a#b',
    'dockér',
    'mir\u212Aor',
    'a'.repeat(300),
  ])('%j is refused', (host) => {
    expect(verdict(IMAGE, { host })).toBe('400 NAME_INVALID')
    expect(verdict('/v2/', { host })).toBe('400 NAME_INVALID')
  })

  it('is refused when there are several', () => {
    expect(verdict(IMAGE, { host: ['localhost', 'localhost'] })).toBe('400 NAME_INVALID')
  })

  it.each([
    'localhost',
    '127.0.0.1:5000',
    '[::1]:5000',
    'oci_mirror:5000',
    'Mirror.Example.',
    'h:0',
  ])('is not %s', (host) => {
    expect(parseAddress(request('/v2/', { host }), book()).kind).toBe('ping')
  })

  it('may be missing, as in HTTP/1.0', () => {
    expect(parseAddress(request('/v2/', { host: [] }), book()).kind).toBe('ping')
  })
})

describe('a path below /v2 that is none', () => {
  it.each([
    '/v2/x',
    '/v2/library/x/',
    '/v2/library/x/manifests',
    '/v2/library/x/tags',
    '/v2/library/x/tags/list/',
    '/v2/quay.io/',
    '/v2/quay.io/_catalog',
    '/v2/library/x/admin/1',
    '/v2/_oci/ext/discover',
  ])('%s has no endpoint', (target) => {
    expect(verdict(target)).toBe('404 UNSUPPORTED')
  })

  it.each([
    ['/v2/library/x/manifests/', '400 MANIFEST_INVALID'],
    ['/v2/library/x/manifests/.hidden', '400 MANIFEST_INVALID'],
    [`/v2/library/x/manifests/${'a'.repeat(129)}`, '400 MANIFEST_INVALID'],
    ['/v2/library/x/manifests/a+b', '400 MANIFEST_INVALID'],
    ['/v2/library/x/manifests/md5:d41d8cd98f00b204e9800998ecf8427e', '400 DIGEST_INVALID'],
    [`/v2/library/x/manifests/sha256:${'A'.repeat(64)}`, '400 DIGEST_INVALID'],
    [`/v2/library/x/blobs/sha256:${'a'.repeat(63)}`, '400 DIGEST_INVALID'],
    [`/v2/library/x/blobs/sha256:${'a'.repeat(65)}`, '400 DIGEST_INVALID'],
    [`/v2/library/x/blobs/sha384:${'a'.repeat(96)}`, '400 DIGEST_INVALID'],
    [`/v2/library/x/blobs/blake3:${'a'.repeat(64)}`, '400 DIGEST_INVALID'],
    ['/v2/library/x/blobs/latest', '400 DIGEST_INVALID'],
    ['/v2/library/x/referrers/latest', '400 DIGEST_INVALID'],
    ['/v2/Library/x/manifests/1', '400 NAME_INVALID'],
    ['/v2/library/-x/manifests/1', '400 NAME_INVALID'],
    ['/v2/library/x__y___z/manifests/1', '400 NAME_INVALID'],
    ['/v2/library/x:1/manifests/1', '400 NAME_INVALID'],
    [`/v2/${'a/'.repeat(128)}a/manifests/1`, '400 NAME_INVALID'],
    ['/v2/quay.io/manifests/1', '400 NAME_INVALID'],
    ['/v2/docker.io/manifests/1?ns=docker.io', '400 NAME_INVALID'],
    ['/v2/hub/manifests/1', '400 NAME_INVALID'],
    ['/v2/manifests/1', '400 NAME_INVALID'],
    ['/v2/quay..io/x/manifests/1', '400 NAME_INVALID'],
    ['/v2/quay.io@evil/x/manifests/1', '400 NAME_INVALID'],
    ['/v2/library/x/tags/list?n=-1', '400 UNSUPPORTED'],
    ['/v2/library/x/tags/list?n=1e9', '400 UNSUPPORTED'],
    ['/v2/library/x/tags/list?n=', '400 UNSUPPORTED'],
    ['/v2/library/x/tags/list?n=%00', '400 UNSUPPORTED'],
    ['/v2/library/x/tags/list?last=%0d%0a', '400 UNSUPPORTED'],
    ['/v2/library/x/tags/list?n=1&n=2', '400 NAME_INVALID'],
    [`/v2/library/x/referrers/${SHA256}?artifactType=a%20b`, '400 UNSUPPORTED'],
  ])('%s is refused with %s', (target, expected) => {
    expect(verdict(target)).toBe(expected)
  })

  it.each([
    '/v2/docker.io/v2/library/x/manifests/1',
    '/v2/docker.io/v2/library/x/manifests/1?ns=docker.io',
    '/v2/hub/v2/library/x/manifests/1',
    '/v2/quay.io/v2/',
  ])('%s gets a hint at override_path', (target) => {
    expect(verdict(target)).toBe('404 NAME_UNKNOWN')
    expect(refusal(target).message).toMatch(/override_path = true/)
  })
})

describe('the text of a refusal', () => {
  it.each([
    ['/v2/x/manifests/1\r\n\u001b[31m\u009b\u202e"><script>'],
    [`/v2/x/manifests/${'a'.repeat(5000)}`],
    [`/v2/${'b'.repeat(5000)}/manifests/1`],
    ['/v2/x/manifests/1?ns=%1b%5b31m%e2%80%ae%0a'],
    [`/v2/x/manifests/1?ns=${'c'.repeat(5000)}`],
    ['/v2/x/manifests/1', { host: '\u001b[31m\r\n' }],
    ['/v2/x/manifests/1', { ociNamespace: '\u001b[31m\r\n' }],
    ['/v2/x/manifests/1', { ociRefName: `docker.io/${'\n'.repeat(5000)}` }],
  ] as [string, RequestParts?][])('is bounded printable ASCII for %j', (target, parts) => {
    const { message } = refusal(target, parts)
    expect(message).toMatch(/^[ -~…]{1,500}$/)
  })
})
