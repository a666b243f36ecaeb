import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Address } from '../../src/http/address.ts'
import { isRegistryTarget, parseAddress } from '../../src/http/address.ts'
import type { RequestTarget } from '../../src/http/request-target.ts'
import { DOCKER_HUB } from '../../src/oci/reference.ts'
import { RegistryError } from '../../src/oci/registry-error.ts'
import { book, CORP, QUAY, request } from './address-cases.ts'

const part = fc.stringMatching(/^[a-z0-9]{1,8}([._-][a-z0-9]{1,4})?$/)
/** A first segment without a dot: one with a dot is a registry by Docker's grammar. */
const firstPart = fc.stringMatching(/^[a-z0-9]{1,8}(-[a-z0-9]{1,4})?$/)
const repositoryPath = fc
  .tuple(firstPart, fc.array(part, { minLength: 1, maxLength: 3 }))
  // Shadowed on purpose: an alias, `localhost` and a second /v2 have a meaning of their own.
  .filter(([first]) => !['hub', 'quay', 'localhost', 'v2'].includes(first))
  .map(([first, rest]) => [first, ...rest].join('/'))

const upstreams = [
  { name: DOCKER_HUB, spellings: ['docker.io', 'index.docker.io', 'registry-1.docker.io', 'hub'] },
  { name: QUAY, spellings: ['quay.io', 'q.corp', 'quay'] },
  { name: CORP, spellings: ['registry.corp:5000'] },
]

/** The same name in other letters, with the default port, with an escaped colon. */
function respell(name: string, isUpper: boolean, withPort: boolean, isEscaped: boolean): string {
  const cased = isUpper ? name.toUpperCase() : name
  const ported = withPort && name.includes('.') && !name.includes(':') ? `${cased}:443` : cased
  return isEscaped ? ported.replaceAll(':', '%3A') : ported
}

interface Spelling {
  readonly target: string
  readonly parts?: Parameters<typeof request>[1]
}

/** Rows 1 to 7 for one image. `name` is how this client writes the upstream. */
function spellings(name: string, canonical: string, path: string): readonly Spelling[] {
  const plain = decodeURIComponent(name)
  const image = `${path}/manifests/1`
  const all: Spelling[] = [
    { target: `/v2/${image}?ns=${name}` },
    { target: `/v2/${canonical}/${image}?ns=${name}` },
    { target: `/v2/${image}?oci-ref-name=${name}` },
    { target: `/v2/${image}?oci-ref-name=${name}%2F${encodeURIComponent(path)}` },
    { target: `/v2/${image}`, parts: { ociNamespace: plain } },
    { target: `/v2/${image}`, parts: { ociRefName: `${plain}/${path}` } },
    { target: `/${name}/v2/${image}` },
    { target: `/${name}/v2/${image}?ns=${name}` },
    { target: `/v2/${name}/${image}` },
    { target: `/v2/${name}/${image}?ns=localhost%3a5000` },
  ]
  if (canonical === DOCKER_HUB) {
    all.push({ target: `/v2/${image}` })
    all.push({ target: `/v2/${image}`, parts: { host: 'Hub.Mirror.Example:443' } })
    all.push({ target: `/v2/${canonical}/${image}`, parts: { host: 'hub.mirror.example' } })
  }
  if (canonical === QUAY) all.push({ target: `/v2/${image}`, parts: { localPort: 5001 } })
  return all
}

function repositoryOf(address: Address) {
  return 'repository' in address ? address.repository : undefined
}

function upstreamOf(address: Address) {
  return address.kind === 'ping' ? address.upstream : repositoryOf(address)?.upstream
}

function outcomeOf<T>(act: () => T): T | Error {
  try {
    return act()
  } catch (error) {
    return error instanceof Error ? error : new Error('something that is no Error was thrown')
  }
}

describe('parseAddress', () => {
  it('finds one upstream and repository for all spellings of an image', () => {
    const input = fc.record({
      upstream: fc.constantFrom(...upstreams),
      index: fc.nat(3),
      path: repositoryPath,
      isUpper: fc.boolean(),
      withPort: fc.boolean(),
      isEscaped: fc.boolean(),
      basePath: fc.constantFrom('', '/cache', '/a/v2/b'),
    })
    fc.assert(
      fc.property(input, ({ upstream, index, path, basePath, ...style }) => {
        const spelling = upstream.spellings[index % upstream.spellings.length] ?? ''
        const name = respell(spelling, style.isUpper, style.withPort, style.isEscaped)
        for (const { target, parts } of spellings(name, upstream.name, path)) {
          const address = parseAddress(request(`${basePath}${target}`, parts), book({ basePath }))
          expect({ target, parts, ...repositoryOf(address) }).toEqual({
            target,
            parts,
            upstream: upstream.name,
            name: path,
          })
        }
      }),
    )
  })

  it('finds the same official image with and without library/', () => {
    fc.assert(
      fc.property(
        firstPart,
        fc.constantFrom('docker.io', 'index.docker.io', 'hub'),
        (short, name) => {
          const forms = [
            ...spellings(name, DOCKER_HUB, short),
            ...spellings(name, DOCKER_HUB, `library/${short}`),
          ]
          const isShadowed = ['hub', 'quay', 'localhost', 'v2'].includes(short)
          for (const { target, parts } of isShadowed ? [] : forms) {
            const address = parseAddress(request(target, parts), book())
            expect({ target, ...repositoryOf(address) }).toEqual({
              target,
              upstream: DOCKER_HUB,
              name: `library/${short}`,
            })
          }
        },
      ),
    )
  })

  it('throws nothing but RegistryError and leaves the book for no input', () => {
    const token = fc.constantFrom(
      '/', '/v2/', 'v2', '..', '.', '//', '%', '%3A', '%2e', '%00', '?', '&', '=', 'ns=', '#', '\\',
      'oci-ref-name=', 'n=', 'last=', 'docker.io', 'quay.io', 'evil.example', 'hub', 'localhost:5000',
      'library/x', 'manifests/', 'blobs/', 'uploads/', 'tags/list', 'referrers/', '_catalog', 'latest',
      `sha256:${'a'.repeat(64)}`, '\u0000', '\r\n', 'é', '\u212A', '169.254.169.254', ':', '@', '[::1]',
    ) // prettier-ignore
    const text = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc
        .array(fc.oneof(token, fc.string({ maxLength: 3 })), { maxLength: 14 })
        .map((t) => t.join('')),
    )
    const headers = fc.array(fc.oneof(text, token), { maxLength: 2 })
    const requests: fc.Arbitrary<RequestTarget> = fc.record({
      target: fc.oneof(
        text,
        text.map((rest) => `/v2/${rest}`),
      ),
      host: fc.oneof(fc.constant(['localhost:5000']), headers),
      ociNamespace: fc.oneof(fc.constant([]), headers),
      ociRefName: fc.oneof(fc.constant([]), headers),
      localPort: fc.constantFrom(5000, 5001),
    })
    const names = book()
    fc.assert(
      fc.property(requests, (input) => {
        const outcome = outcomeOf(() => parseAddress(input, names))
        const isOurs = outcomeOf(() => isRegistryTarget(input.target, names))
        expect(isOurs).toBeTypeOf('boolean')
        expect(outcome instanceof Error ? outcome : upstreamOf(outcome)).toSatisfy(
          (found: unknown) =>
            found instanceof RegistryError ||
            found === undefined ||
            [...names.upstreams].includes(found as never),
        )
      }),
      { numRuns: 5000 },
    )
  })
})
