import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest'
import type { TestImage, TestIndex } from '../support/images.ts'
import { buildImage, buildIndex } from '../support/images.ts'
import type { Daemons } from './clients/daemons.ts'
import { startDaemons } from './clients/daemons.ts'
import type { ImageName, PullClient } from './clients/pull-client.ts'
import type { Row } from './clients/rows.ts'
import { ROWS } from './clients/rows.ts'
import { buildArtifact, buildChart } from './support/artifacts.ts'
import { answers } from './support/programs.ts'
import type { Phase } from './support/results.ts'
import { recordResult } from './support/results.ts'
import type { Stage } from './support/stage.ts'
import { BASIC, HUB, LOGIN, REGISTRIES, setStage, TOKEN, UPSTREAMS, V3 } from './support/stage.ts'

/** What one row pulls: nobody else pulls it, so that its first pull is cold. */
interface Content {
  readonly client: PullClient
  readonly repository: string
  /** First pulled by tag. For clients of images: two platforms, layers large enough to be streamed. */
  readonly first: TestImage | TestIndex
  /** First pulled by digest. For clients of images: Docker's media types. */
  readonly second: TestImage
}

const FIRST = '1.0.0'
const SECOND = '2.0.0'
const resultsFile = inject('resultsFile')
const contents = new Map<Row, Content>()
let stage: Stage
let daemons: Daemons

beforeAll(async () => {
  stage = await setStage()
  daemons = await startDaemons(stage)
  for (const [n, row] of ROWS.entries()) contents.set(row, await prepare(row, n))
})

afterAll(async () => {
  await daemons?.[Symbol.asyncDispose]()
  await stage?.close()
})

/** What one test's client asked is not the next one's. */
beforeEach(() => void stage.outside.takeAsked())

async function prepare(row: Row, n: number): Promise<Content> {
  const name = `oci-mirror-e2e-${n}`
  const repository = `${row.upstream === HUB ? 'library' : 'team'}/${name}`
  const { first, second } = build(row, name)
  await stage.push(row.upstream, repository, first, FIRST)
  await stage.push(row.upstream, repository, second, SECOND)
  const client = await row.open({ stage, daemons, dir: join(stage.dir, `row-${n}`) })
  return { client, repository, first, second }
}

function build(row: Row, name: string): Pick<Content, 'first' | 'second'> {
  if (row.content === 'chart') {
    return { first: buildChart(name, FIRST), second: buildChart(name, SECOND) }
  }
  if (row.content === 'artifact') {
    return { first: buildArtifact(`${name}/1`), second: buildArtifact(`${name}/2`) }
  }
  const large = { seed: name, layers: 2, layerBytes: 1_200_000 }
  const images = ['amd64', 'arm64'].map((architecture) =>
    buildImage({ ...large, platform: { os: 'linux', architecture } }),
  )
  const small = { layers: 3, layerBytes: 50_000, mediaTypes: 'docker' } as const
  return { first: buildIndex(images), second: buildImage({ ...small, seed: `${name}/docker` }) }
}

/** What a client has after each of its pulls. */
interface Pulled {
  readonly firstByTag: ReadonlySet<string>
  readonly firstByDigest: ReadonlySet<string>
  readonly secondByDigest: ReadonlySet<string>
  readonly secondByTag: ReadonlySet<string>
  /** Hosts outside that it asked: none, or it did not need the mirror. */
  readonly outside: readonly string[]
}

function expected(row: Row): Pulled {
  const { client, first, second } = contentOf(row)
  return {
    firstByTag: client.expected(first),
    firstByDigest: client.expected(first),
    secondByDigest: client.expected(second),
    secondByTag: client.expected(second),
    outside: [],
  }
}

function pull(row: Row, phase: Phase): Promise<Pulled> {
  const { client, first, second } = contentOf(row)
  const firstPull = (reference: Reference) =>
    client.pull(nameOf(row, reference), architecturesOf(first))
  const secondPull = (reference: Reference) =>
    client.pull(nameOf(row, reference), architecturesOf(second))
  const { client: program, addressing, upstream } = row
  const registry = `${upstream} (${REGISTRIES[upstream]})`
  const cell = { client: program, addressing, registry, phase }
  return recordResult(resultsFile, cell, expected(row), async () => ({
    firstByTag: await firstPull({ tag: FIRST }),
    firstByDigest: await firstPull({ digest: first.manifest.digest }),
    secondByDigest: await secondPull({ digest: second.manifest.digest }),
    secondByTag: await secondPull({ tag: SECOND }),
    outside: stage.outside.takeAsked(),
  }))
}

type Reference = ImageName['reference']

function nameOf(row: Row, reference: Reference): ImageName {
  return { registry: row.upstream, repository: contentOf(row).repository, reference }
}

function architecturesOf(content: TestImage | TestIndex): readonly string[] {
  const images = 'images' in content ? content.images : [content]
  return images.map(({ platform }) => platform.architecture)
}

function contentOf(row: Row): Content {
  const content = contents.get(row)
  if (content === undefined) throw new Error('the stage was not set')
  return content
}

/** What a client connects to when it looks for the registry itself. */
const REAL_HOSTS = {
  [HUB]: 'registry-1.docker.io:443',
  [TOKEN]: TOKEN,
  [BASIC]: `${BASIC}:443`,
  [V3]: `${V3}:443`,
}

describe('with the registries running', () => {
  it.each([TOKEN, BASIC] as const)(
    'cannot reach %s without the credentials that only the mirror has',
    async (name) => {
      const url = `${stage.urls[name]}/v2/team/any/manifests/${FIRST}`
      expect(await answers(url, [401])).toBe(true)
    },
  )

  describe.each(ROWS)('$client, $addressing, $upstream', (row) => {
    it('pulls content that is not cached', async () => {
      expect(await pull(row, 'cold')).toEqual(expected(row))
    })

    it('pulls it again from the cache', async () => {
      expect(await pull(row, 'warm')).toEqual(expected(row))
    })

    it('is told of content that is not there, and may look for it elsewhere', async () => {
      const none = nameOf(row, { tag: '9.9.9' })
      await expect(contentOf(row).client.pull(none, ['amd64'])).rejects.toThrow(
        /404|not found|unknown|forbidden/i,
      )
      const asked = row.goesOn ? [REAL_HOSTS[row.upstream]] : []
      expect([...new Set(stage.outside.takeAsked())]).toEqual(asked)
    })
  })
})

describe('with the registries and the token server ended', () => {
  beforeAll(() => stage.stopUpstreams())

  it('has no upstream', async () => {
    for (const name of UPSTREAMS) {
      expect(await answers(`${stage.urls[name]}/v2/`, [200, 401])).toBe(false)
    }
  })

  it.each(ROWS)('pulls with $client ($addressing, $upstream) what is cached', async (row) => {
    expect(await pull(row, 'offline')).toEqual(expected(row))
  })
})

describe('the log', () => {
  it.each(ROWS)('has a line for what $client ($addressing, $upstream) asked', (row) => {
    const { repository } = contentOf(row)
    const asked = { upstream: row.upstream, repository, reference: FIRST, status: 200 }
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
