import { afterEach, describe, expect, it } from 'vitest'
import { digestOf } from '../../src/oci/digest.ts'
import { buildArtifact, buildReferrersIndex, descriptor } from '../support/artifacts.ts'
import type { FakeRegistry } from '../support/fake-registry.ts'
import { buildImage } from '../support/images.ts'
import type { RecordedRequest } from '../support/recorded-request.ts'
import type { RegistryQuirks } from '../support/registry-quirks.ts'
import * as quirks from '../support/registry-quirks.ts'
import { startQuirky } from './quirky.ts'
import type { TestMirror } from '../support/test-mirror.ts'

/** What a client says to a mirror that it takes for the registry: it is not for the registry. */
const CLIENT = { authorization: `Basic ${btoa('client:canary-client')}` }

const MANIFEST_ONCE = [
  'HEAD manifest 401',
  'GET token 200',
  'HEAD manifest 200',
  'GET manifest 200',
]
const MANIFEST_OPEN = ['HEAD manifest 200', 'GET manifest 200']

interface Expected {
  /** All that it is asked for a tag's HEAD, its manifest and two blobs. */
  readonly requests: readonly string[]
  /** The query of each token request that these take; none where there is no token server. */
  readonly token?: string
}

const REGISTRIES: readonly (readonly [name: string, make: () => RegistryQuirks, Expected])[] = [
  [
    'Docker Hub',
    quirks.dockerHub,
    {
      requests: [...MANIFEST_ONCE, ...redirectedBlobs(307)],
      token: 'service=registry.docker.io&scope=repository:library/app:pull',
    },
  ],
  [
    'ghcr.io',
    quirks.ghcr,
    {
      requests: [...MANIFEST_ONCE, ...redirectedBlobs(307)],
      token: 'service=ghcr.io&scope=repository:org/app:pull',
    },
  ],
  [
    'quay.io',
    quirks.quay,
    {
      requests: [...MANIFEST_ONCE, 'GET blob 502', ...redirectedBlobs(302)],
      token: 'service=quay.io&scope=repository:org/app:pull',
    },
  ],
  [
    'Artifact Registry',
    quirks.gar,
    {
      requests: [...MANIFEST_ONCE, ...redirectedBlobs(302)],
      token: 'service=europe-docker.pkg.dev&scope=repository:project/images/app:pull',
    },
  ],
  [
    'registry.k8s.io',
    quirks.registryK8s,
    {
      requests: [
        'HEAD manifest 307',
        'HEAD manifest 200',
        'GET manifest 307',
        'GET manifest 200',
        ...redirectedBlobs(307),
      ],
    },
  ],
  [
    'public.ecr.aws',
    quirks.ecrPublic,
    {
      requests: [...MANIFEST_ONCE, ...redirectedBlobs(307)],
      token: 'service=public.ecr.aws&scope=aws&scope=repository:docker/library/app:pull',
    },
  ],
  [
    'private ECR',
    quirks.ecrPrivate,
    { requests: ['HEAD manifest 401', ...MANIFEST_OPEN, ...redirectedBlobs(307)] },
  ],
  [
    'Azure',
    quirks.acr,
    {
      requests: [...MANIFEST_ONCE, ...redirectedBlobs(307)],
      token: 'service=team.azurecr.io&scope=repository:app:pull',
    },
  ],
  [
    'GitLab',
    quirks.gitlab,
    {
      requests: [...MANIFEST_ONCE, ...redirectedBlobs(307)],
      token: 'service=container_registry&scope=repository:group/project/app:pull',
    },
  ],
  [
    'nvcr.io',
    quirks.nvcr,
    {
      requests: [...MANIFEST_ONCE, ...redirectedBlobs(302)],
      token: 'scope=repository:nvidia/app:pull',
    },
  ],
  [
    'Harbor',
    quirks.harbor,
    {
      requests: [...MANIFEST_ONCE, 'GET blob 200', 'GET blob 200'],
      token: 'service=harbor-registry&scope=repository:project/app:pull',
    },
  ],
  ['mcr.microsoft.com', quirks.mcr, { requests: [...MANIFEST_OPEN, ...redirectedBlobs(307)] }],
  // A HEAD without a digest tells nothing, so that the manifest is fetched with it.
  ['Red Hat', quirks.redhat, { requests: [...MANIFEST_OPEN, ...redirectedBlobs(302)] }],
  [
    'Artifactory',
    quirks.artifactory,
    { requests: ['HEAD manifest 401', ...MANIFEST_OPEN, ...redirectedBlobs(302)] },
  ],
  [
    'Nexus',
    quirks.nexus,
    {
      requests: [...MANIFEST_ONCE, 'GET blob 200', 'GET blob 200'],
      token: 'service=nexus.example&scope=repository:team/app:pull',
    },
  ],
]

function redirectedBlobs(status: number): readonly string[] {
  return [`GET blob ${status}`, 'GET blob 200', `GET blob ${status}`, 'GET blob 200']
}

describe('every registry', () => {
  const image = buildImage({ seed: 'quirks', layers: 2, layerBytes: 40_000 })
  const [layer = image.config, cold = image.config] = image.layers
  let registry: FakeRegistry
  let mirror: TestMirror

  async function start(quirky: RegistryQuirks): Promise<(path: string) => string> {
    const started = await startQuirky(quirky)
    registry = started.registry
    mirror = started.mirror
    registry.add(quirky.repository, image, 'v1')
    return started.at
  }
  afterEach(async () => {
    await mirror[Symbol.asyncDispose]()
    await registry.close()
  })

  async function digestAt(path: string): Promise<string> {
    const response = await mirror.fetch(path, { headers: CLIENT })
    expect([path, response.status]).toEqual([path, 200])
    return digestOf(new Uint8Array(await response.arrayBuffer()))
  }

  const tokenQueries = () =>
    registry.requests
      .filter(({ kind }) => kind === 'token')
      .map(({ query }) => decodeURIComponent(query.toString()))

  async function referrersAt(path: string): Promise<unknown> {
    const response = await mirror.fetch(path, { headers: CLIENT })
    expect([path, response.status]).toEqual([path, 200])
    return ((await response.json()) as { manifests: unknown }).manifests
  }

  async function headAt(path: string): Promise<Headers> {
    const response = await mirror.head(path, CLIENT)
    expect([path, response.status]).toEqual([path, 200])
    return response.headers
  }

  it.each(REGISTRIES)(
    '%s: is pulled cold with the requests that it takes and no more, and warm with none',
    async (_, make, { requests, token }) => {
      const quirky = make()
      const at = await start(quirky)
      const { manifest, config } = image
      const head = await headAt(at('manifests/v1'))
      expect(head.get('docker-content-digest')).toBe(manifest.digest)
      expect(head.get('content-type')).toBe(manifest.mediaType)
      expect(await digestAt(at(`manifests/${manifest.digest}`))).toBe(manifest.digest)
      expect(await digestAt(at(`blobs/${config.digest}`))).toBe(config.digest)
      expect(await digestAt(at(`blobs/${layer.digest}`))).toBe(layer.digest)
      await mirror.settle()
      const asked = registry.requests.map(
        ({ method, kind, status }) => `${method} ${kind} ${status}`,
      )
      expect(asked).toEqual(requests)
      expect(tokenQueries()).toEqual(token === undefined ? [] : [token])
      expectOwnCredentials(registry.requests, quirky)

      await registry.stop()
      registry.reset()
      for (const path of ['manifests/v1', `manifests/${manifest.digest}`]) {
        expect((await headAt(at(path))).get('docker-content-digest')).toBe(manifest.digest)
        expect(await digestAt(at(path))).toBe(manifest.digest)
      }
      for (const { digest, size } of [config, layer]) {
        expect((await headAt(at(`blobs/${digest}`))).get('content-length')).toBe(String(size))
        expect(await digestAt(at(`blobs/${digest}`))).toBe(digest)
      }
      expect(registry.requests).toEqual([])
    },
  )

  it.each(REGISTRIES)(
    '%s: the size of a cold blob is found without HEAD, for a byte',
    async (_, make) => {
      const quirky = make()
      const at = await start(quirky)
      const head = await headAt(at(`blobs/${cold.digest}`))
      expect(head.get('content-length')).toBe(String(cold.size))
      expect(registry.count({ kind: 'blob', method: 'HEAD' })).toBe(0)
      const answers = registry.requests.filter(
        ({ kind, status }) => kind === 'blob' && status < 300,
      )
      expect(answers.map(({ status, bytesSent }) => [status, bytesSent])).toEqual([[206, 1]])
      expectOwnCredentials(registry.requests, quirky)
    },
  )

  it.each(REGISTRIES)('%s: several ranges of a cold blob are one download', async (_, make) => {
    const at = await start(make())
    const response = await mirror.fetch(at(`blobs/${layer.digest}`), {
      headers: { range: 'bytes=0-9,100-199' },
    })
    expect(response.status).toBe(206)
    const body = Buffer.from(await response.arrayBuffer())
    const bytes = Buffer.from(layer.bytes)
    expect(body.includes(bytes.subarray(0, 10))).toBe(true)
    expect(body.includes(bytes.subarray(100, 200))).toBe(true)
    await mirror.settle()
    // Storage may refuse several ranges of a request (GCS), and so is never asked for them.
    expect(registry.count({ kind: 'blob', status: 200 })).toBe(1)
    expect(registry.count({ kind: 'blob', ranged: true })).toBe(0)
  })

  it.each(REGISTRIES)('%s: 20 clients of a cold image take it once', async (_, make, expected) => {
    const at = await start(make())
    const { manifest } = image
    const paths = ['manifests/v1', `manifests/${manifest.digest}`, `blobs/${layer.digest}`]
    for (const path of paths) {
      const clients = Array.from({ length: 20 }, () => digestAt(at(path)))
      expect(new Set(await Promise.all(clients)).size).toBe(1)
    }
    await mirror.settle()
    expect(registry.count({ kind: 'manifest', method: 'GET', status: 200 })).toBe(1)
    expect(registry.count({ kind: 'blob', status: 200 })).toBe(1)
    expect(registry.count({ kind: 'token' })).toBe(expected.token === undefined ? 0 : 1)
  })

  it.each(REGISTRIES)(
    '%s: a blob that breaks in the middle goes on with one closed range, from a URL of its own',
    async (_, make, { requests }) => {
      const quirky = make()
      const at = await start(quirky)
      const hops = requests.filter((request) => request.startsWith('GET blob'))
      const times = hops.indexOf('GET blob 200') + 1
      // What leads to the blob has no body that could break.
      registry.inject({ kind: 'blob', times, action: { cut: { after: 20_000, how: 'fin' } } })
      expect(await digestAt(at(`blobs/${layer.digest}`))).toBe(layer.digest)
      const sent = registry.requests.filter(({ kind, status }) => kind === 'blob' && status < 300)
      expect(sent.map(({ status }) => status)).toEqual([200, 206])
      // What arrived before anyone read it is lost with its connection, and asked for again.
      const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(sent[1]?.headers['range'] ?? '') ?? []
      expect(Number(from)).toBeLessThanOrEqual(20_000)
      expect(Number(to)).toBe(layer.size - 1)
      const urls = new Set(sent.map(({ query }) => query.toString()))
      expect(urls.size).toBe(quirky.options.redirect === undefined ? 1 : 2)
      expectOwnCredentials(registry.requests, quirky)
    },
  )

  it.each(REGISTRIES)('%s: lists its tags, and the signatures of an image', async (_, make) => {
    const quirky = make()
    const at = await start(quirky)
    const { digest } = image.manifest
    const tags = await mirror.fetch(at('tags/list'), { headers: CLIENT })
    expect([tags.status, await tags.json()]).toMatchObject([200, { tags: ['v1'] }])
    expect(await referrersAt(at(`referrers/${digest}`))).toEqual([])

    // None of them has an API for it here, so that signers keep the list under a tag.
    const other = buildImage({ seed: 'signed' })
    const signature = buildArtifact({ subject: other.manifest })
    const entries = [descriptor(signature.manifest)]
    const tag = other.manifest.digest.replace(':', '-')
    registry.add(quirky.repository, other)
    registry.addManifest(quirky.repository, buildReferrersIndex(entries), tag)
    expect(await referrersAt(at(`referrers/${other.manifest.digest}`))).toEqual(entries)
    expectOwnCredentials(registry.requests, quirky)
  })
})

/**
 * The password goes to the token server, or to the registry that wants Basic; tokens go to the registry;
 * where a redirect leads, nothing goes. What the client sent goes nowhere.
 */
function expectOwnCredentials(
  requests: readonly RecordedRequest[],
  { login, options }: RegistryQuirks,
): void {
  const password = login && `Basic ${btoa(`${login.username}:${login.password}`)}`
  const isBasic = options.auth?.kind === 'basic'
  for (const { server, kind, path, query, headers } of requests) {
    const { authorization, ...others } = headers
    const sent = authorization?.startsWith('Bearer fake-') === true ? 'a token' : authorization
    const isStorage = server === 'cdn' || path.startsWith('/cdn/')
    let allowed = [undefined, isBasic ? password : 'a token']
    if (isStorage || options.auth === undefined) allowed = [undefined]
    else if (kind === 'token') allowed = [password]
    expect(allowed).toContain(sent)
    expect(JSON.stringify([path, query.toString(), others])).not.toContain('canary')
  }
}
