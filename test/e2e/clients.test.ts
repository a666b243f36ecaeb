import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import type { TestImage, TestIndex } from '../support/images.ts'
import { buildImage, buildIndex } from '../support/images.ts'
import { createCrane } from './support/crane.ts'
import { answers } from './support/programs.ts'
import type { ImageName, PullClient } from './support/pull-client.ts'
import { digestsOf } from './support/pull-client.ts'
import type { Phase } from './support/results.ts'
import { recordResult } from './support/results.ts'
import { createSkopeo } from './support/skopeo.ts'
import type { Stage, UpstreamName } from './support/stage.ts'
import { LOGIN, PRIVATE, PRIVATE_ALIAS, PUBLIC, setStage } from './support/stage.ts'

interface Row {
  readonly client: string
  readonly addressing: string
  readonly upstream: UpstreamName
  readonly open: (stage: Stage, dir: string) => PullClient | Promise<PullClient>
}

const ROWS: readonly Row[] = [
  {
    client: 'containerd',
    addressing: 'ns',
    upstream: PUBLIC,
    open: ({ containerd, mirror }) => containerd.client(PUBLIC, mirror.url),
  },
  {
    client: 'containerd',
    addressing: 'ns',
    upstream: PRIVATE,
    open: ({ containerd, mirror }) => containerd.client(PRIVATE, mirror.url),
  },
  {
    client: 'containerd',
    addressing: 'path before /v2, and ns',
    upstream: PUBLIC,
    open: ({ containerd, mirror }) => containerd.client(PUBLIC, `${mirror.url}/${PUBLIC}`),
  },
  {
    client: 'skopeo',
    addressing: 'path prefix',
    upstream: PUBLIC,
    open: ({ mirror }, dir) => createSkopeo(dir, PUBLIC, `${mirror.host}/${PUBLIC}`),
  },
  {
    client: 'skopeo',
    addressing: 'path prefix (alias)',
    upstream: PRIVATE,
    open: ({ mirror }, dir) => createSkopeo(dir, PRIVATE, `${mirror.host}/${PRIVATE_ALIAS}`),
  },
  {
    client: 'crane',
    addressing: 'explicit name',
    upstream: PUBLIC,
    open: ({ mirror }, dir) => createCrane(dir, `${mirror.host}/${PUBLIC}`),
  },
  {
    client: 'crane',
    addressing: 'explicit name (alias)',
    upstream: PRIVATE,
    open: ({ mirror }, dir) => createCrane(dir, `${mirror.host}/${PRIVATE_ALIAS}`),
  },
  {
    client: 'crane',
    addressing: 'default upstream',
    upstream: PUBLIC,
    open: ({ mirror }, dir) => createCrane(dir, mirror.host),
  },
]

/** What one row pulls: nobody else pulls it, so that its first pull is cold. */
interface Content {
  readonly client: PullClient
  readonly repository: string
  /** Two platforms, OCI types, layers large enough to be streamed; pulled by tag. */
  readonly index: TestIndex
  /** Docker types; pulled by digest. */
  readonly image: TestImage
}

const TAG = 'v1'
const resultsFile = inject('resultsFile')
const contents = new Map<Row, Content>()
let stage: Stage

beforeAll(async () => {
  stage = await setStage()
  for (const [n, row] of ROWS.entries()) contents.set(row, await prepare(row, n))
})

afterAll(async () => {
  await stage?.close()
})

async function prepare(row: Row, n: number): Promise<Content> {
  const repository = `${row.upstream === PUBLIC ? 'library' : 'team'}/row-${n}`
  const layers = { layers: 2, layerBytes: 1_200_000 }
  const index = buildIndex(
    ['amd64', 'arm64'].map((architecture) =>
      buildImage({ ...layers, seed: repository, platform: { os: 'linux', architecture } }),
    ),
  )
  const small = { layers: 3, layerBytes: 50_000, mediaTypes: 'docker' } as const
  const image = buildImage({ ...small, seed: `${repository}-docker` })
  await stage.push(row.upstream, repository, index, TAG)
  await stage.push(row.upstream, repository, image, 'docker')
  return { client: await row.open(stage, join(stage.dir, `row-${n}`)), repository, index, image }
}

/** What a client has after a pull by tag, and after one by digest. */
interface Pulled {
  readonly byTag: ReadonlySet<string>
  readonly byDigest: ReadonlySet<string>
}

function expected(row: Row): Pulled {
  const { index, image } = contentOf(row)
  return { byTag: digestsOf(index), byDigest: digestsOf(image) }
}

function pull(row: Row, phase: Phase): Promise<Pulled> {
  const { client, repository, image } = contentOf(row)
  const name = (reference: ImageName['reference']) => ({
    registry: row.upstream,
    repository,
    reference,
  })
  const { client: program, addressing, upstream } = row
  const cell = { client: program, addressing, upstream, phase }
  return recordResult(resultsFile, cell, expected(row), async () => ({
    byTag: await client.pull(name({ tag: TAG })),
    byDigest: await client.pull(name({ digest: image.manifest.digest })),
  }))
}

function contentOf(row: Row): Content {
  const content = contents.get(row)
  if (content === undefined) throw new Error('the stage was not set')
  return content
}

describe('with the registries running', () => {
  it('cannot reach the guarded registry without the credentials that only the mirror has', async () => {
    const url = `${stage.urls[PRIVATE]}/v2/team/row-1/manifests/${TAG}`
    expect(await answers(url, [401])).toBe(true)
  })

  describe.each(ROWS)('$client, $addressing, $upstream', (row) => {
    it('pulls an image that is not cached', async () => {
      expect(await pull(row, 'cold')).toEqual(expected(row))
    })

    it('pulls it again from the cache', async () => {
      expect(await pull(row, 'warm')).toEqual(expected(row))
    })

    it('is told of an image that is not there', async () => {
      const name = { registry: row.upstream, repository: 'team/none', reference: { tag: TAG } }
      await expect(contentOf(row).client.pull(name)).rejects.toThrow(/not found|unknown/i)
    })
  })
})

describe('with the registries and the token server ended', () => {
  beforeAll(() => stage.stopUpstreams())

  it('has no upstream', async () => {
    expect(await answers(`${stage.urls[PUBLIC]}/v2/`, [200])).toBe(false)
    expect(await answers(`${stage.urls[PRIVATE]}/v2/`, [401])).toBe(false)
  })

  it.each(ROWS)('pulls with $client ($addressing, $upstream) what is cached', async (row) => {
    expect(await pull(row, 'offline')).toEqual(expected(row))
  })
})

describe('the log', () => {
  it.each(ROWS)('has a line for what $client ($addressing, $upstream) asked', (row) => {
    const { repository } = contentOf(row)
    const asked = { upstream: row.upstream, repository, reference: TAG, status: 200 }
    expect(stage.mirror.logs()).toContainEqual(expect.objectContaining(asked))
  })

  it('has neither the password nor a token', () => {
    const printed = stage.mirror.program.stdout() + stage.mirror.program.stderr()
    expect(printed).not.toContain(LOGIN.password)
    expect(printed).not.toContain(btoa(`${LOGIN.username}:${LOGIN.password}`))
    // How every JSON Web Token begins.
    expect(printed).not.toContain('eyJ')
  })
})
