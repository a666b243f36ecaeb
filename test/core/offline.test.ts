import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Digest } from '../../src/oci/digest.ts'
import { digestHex, digestOf } from '../../src/oci/digest.ts'
import { OCI_MANIFEST } from '../../src/oci/media-types.ts'
import { referrersTag } from '../../src/oci/referrers.ts'
import type { Repository, Tag } from '../../src/oci/reference.ts'
import { buildArtifact, buildReferrersIndex, descriptor } from '../support/artifacts.ts'
import { ManualClock } from '../support/clock.ts'
import { FakeRegistry } from '../support/fake-registry.ts'
import { buildBlob, buildImage, buildIndex } from '../support/images.ts'
import { expectIntact } from '../support/oracle.ts'
import type { TempDir } from '../support/temp-dir.ts'
import { makeTempDir } from '../support/temp-dir.ts'
import type { TestMirrorOptions } from '../support/test-mirror.ts'
import { TestMirror } from '../support/test-mirror.ts'
import { get, pull, pullIndex } from './maintenance/pulled.ts'

type Upstream = TestMirrorOptions['upstreams'][string]

const YEAR = 365 * 24 * 60 * 60_000
const REMEDY = '(import a bundle, or warm it online)'
const APP = { upstream: 'docker.io', name: 'library/app' } as Repository

const IMAGE = buildImage({ seed: 'app' })
const [LAYER = IMAGE.config] = IMAGE.layers
const AMD = buildImage({ seed: 'multi' })
const ARM = buildImage({ seed: 'multi', platform: { os: 'linux', architecture: 'arm64' } })
const INDEX = buildIndex([AMD, ARM])
const ABSENT = `sha256:${'0'.repeat(64)}` as Digest
const SIGNATURE = buildArtifact({ subject: IMAGE.manifest, artifactType: 'application/sig' })
const SBOM = buildArtifact({ subject: IMAGE.manifest, artifactType: 'application/s', seed: 'sbom' })

let dir: TempDir
let registry: FakeRegistry
let mirror: TestMirror
let clock: ManualClock

beforeEach(async () => {
  dir = await makeTempDir()
  clock = new ManualClock()
  registry = await FakeRegistry.start({ lists: { referrersPage: 100 } })
  registry.add('library/app', IMAGE, '1.27')
})
afterEach(async () => {
  await mirror[Symbol.asyncDispose]()
  await registry.close()
  await dir.remove()
})

const open = (upstream: Partial<Upstream> = {}) =>
  TestMirror.start({ upstreams: { 'docker.io': { registry, ...upstream } }, clock }, dir)

/** Fills the cache, then opens it again where nobody can be asked. */
async function fill(
  task: (online: TestMirror) => Promise<unknown>,
  upstream: Partial<Upstream> = {},
): Promise<void> {
  const online = await open(upstream)
  await task(online)
  await online[Symbol.asyncDispose]()
  registry.requests.length = 0
  mirror = await open({ ...upstream, mode: 'offline' })
}

const fillApp = () => fill((online) => pull(online, 'library/app', '1.27', IMAGE))

async function ask(path: string, method = 'GET') {
  const response = await mirror.fetch(path, { method })
  const text = await response.text()
  const errors = response.status === 200 || text === '' ? undefined : JSON.parse(text).errors[0]
  return {
    status: response.status,
    how: (response.headers.get('cache-status') ?? '').replace('oci-mirror; ', ''),
    headers: response.headers,
    text,
    code: errors?.code as string | undefined,
    detail: errors?.detail as string | undefined,
  }
}

async function refused(path: string): Promise<string> {
  const { status, code, detail } = await ask(path)
  expect((await ask(path, 'HEAD')).status).toBe(status)
  return `${status} ${code}: ${detail}`
}

describe('an offline upstream', () => {
  afterEach(async () => {
    await expectIntact(mirror)
    expect(registry.requests).toEqual([])
  })

  it('gives what is here, whatever its age, and says why nobody was asked', async () => {
    await fillApp()
    await clock.advance(YEAR)
    for (const method of ['GET', 'HEAD']) {
      const { status, how, headers } = await ask('/v2/library/app/manifests/1.27', method)
      expect({ status, how }).toEqual({ status: 200, how: 'hit; detail=offline' })
      expect(headers.get('docker-content-digest')).toBe(IMAGE.manifest.digest)
      expect(headers.get('content-length')).toBe(String(IMAGE.manifest.size))
      expect([headers.get('warning'), headers.get('age')]).toEqual([null, null])
    }
    const paths = [
      `manifests/${IMAGE.manifest.digest}`,
      `blobs/${IMAGE.manifest.digest}`,
      `blobs/${LAYER.digest}`,
    ]
    for (const path of paths) {
      expect(await ask(`/v2/library/app/${path}`)).toMatchObject({ status: 200, how: 'hit' })
    }
    expect((await ask(`/v2/library/app/blobs/${LAYER.digest}`, 'HEAD')).status).toBe(200)
  })

  it('answers a tag that is not here with those that are', async () => {
    registry.add('library/app', IMAGE, '1.28')
    registry.setTag(
      'library/app',
      `${IMAGE.manifest.digest.replace(':', '-')}.sig`,
      IMAGE.manifest.digest,
    )
    await fill(async (online) => {
      for (const tag of ['1.27', '1.28', `${IMAGE.manifest.digest.replace(':', '-')}.sig`]) {
        await get(online, `/v2/library/app/manifests/${tag}`)
      }
    })
    expect(await refused('/v2/library/app/manifests/1.29')).toBe(
      `404 MANIFEST_UNKNOWN: docker.io/library/app:1.29 is not in this offline mirror; it has 1.27, 1.28 ${REMEDY}`,
    )
  })

  it('names at most ten tags, those next to the one that is not here', async () => {
    const tags = Array.from({ length: 30 }, (_, n) => `v${10 + n}`)
    for (const tag of tags) registry.add('library/app', IMAGE, tag)
    await fill(async (online) => {
      for (const tag of tags) await get(online, `/v2/library/app/manifests/${tag}`)
    })
    expect(await refused('/v2/library/app/manifests/v20.1')).toContain(
      'it has v16, v17, v18, v19, v20, v21, v22, v23, v24, v25 and 20 more (',
    )
    expect(await refused('/v2/library/app/manifests/v9')).toContain('; it has v30, v31, v32,')
    expect(await refused('/v2/library/app/manifests/1')).toContain('; it has v10, v11, v12,')
  })

  it('answers for a repository of which nothing is here', async () => {
    await fillApp()
    const nothing = `404 NAME_UNKNOWN: nothing of docker.io/library/other is in this offline mirror ${REMEDY}`
    expect(await refused('/v2/library/other/manifests/1')).toBe(nothing)
    expect(await refused(`/v2/library/other/manifests/${ABSENT}`)).toBe(nothing)
    expect(await refused('/v2/library/other/tags/list')).toBe(nothing)
  })

  it('answers for a digest that is not here', async () => {
    await fillApp()
    const miss = `docker.io/library/app@${ABSENT} is not in this offline mirror ${REMEDY}`
    expect(await refused(`/v2/library/app/manifests/${ABSENT}`)).toBe(
      `404 MANIFEST_UNKNOWN: ${miss}`,
    )
    expect(await refused(`/v2/library/app/blobs/${ABSENT}`)).toBe(`404 BLOB_UNKNOWN: ${miss}`)
  })

  it('does not answer for a blob with the size that a manifest states', async () => {
    await fill((online) => get(online, '/v2/library/app/manifests/1.27'))
    const path = `/v2/library/app/blobs/${LAYER.digest}`
    expect(await refused(path)).toBe(
      `404 BLOB_UNKNOWN: docker.io/library/app@${LAYER.digest} is not in this offline mirror, although a manifest that names it is ${REMEDY}`,
    )
    expect((await mirror.fetch(path, { headers: { range: 'bytes=0-9' } })).status).toBe(404)
  })

  it('says of a platform that was left out that its index is here', async () => {
    registry.add('library/multi', INDEX, '1')
    await fill((online) => pullIndex(online, 'library/multi', '1', INDEX, AMD))
    expect((await ask('/v2/library/multi/manifests/1')).status).toBe(200)
    expect(await refused(`/v2/library/multi/manifests/${ARM.manifest.digest}`)).toBe(
      `404 MANIFEST_UNKNOWN: docker.io/library/multi@${ARM.manifest.digest} is not in this offline mirror: its index ${INDEX.manifest.digest} is, with linux/amd64, but without linux/arm64 ${REMEDY}`,
    )
  })

  it('repeats nothing of an index that is no platform, however much there is of it', async () => {
    const odd = { os: `linux\n${'x'.repeat(100_000)}`, architecture: 'amd64' }
    const index = buildIndex([buildImage({ seed: 'odd', platform: odd }), AMD])
    registry.add('library/odd', index, '1')
    await fill((online) => pullIndex(online, 'library/odd', '1', index, AMD))
    const [first] = index.images
    expect(await refused(`/v2/library/odd/manifests/${first?.manifest.digest}`)).toMatch(
      /: its index \S+ is, with linux\/amd64, but without this part of it \(import/,
    )
  })

  it('gives clients that know no index the linux/amd64 image, or says that it is not here', async () => {
    registry.add('library/multi', INDEX, '1')
    registry.add('library/arm', INDEX, '1')
    await fill(async (online) => {
      await pullIndex(online, 'library/multi', '1', INDEX, AMD)
      await pullIndex(online, 'library/arm', '1', INDEX, ARM)
    })
    const headers = { accept: OCI_MANIFEST }
    const found = await mirror.fetch('/v2/library/multi/manifests/1', { headers })
    expect(digestOf(new Uint8Array(await found.arrayBuffer()))).toBe(AMD.manifest.digest)
    const missing = await mirror.fetch('/v2/library/arm/manifests/1', { headers })
    expect(missing.status).toBe(404)
    expect(await missing.text()).toContain('with linux/arm64, but without linux/amd64')
  })

  it('does not answer for a tag whose manifest has gone', async () => {
    registry.add('library/app', buildImage({ seed: 'next' }), '1.28')
    await fill(async (online) => {
      await get(online, '/v2/library/app/manifests/1.28')
      await pull(online, 'library/app', '1.27', IMAGE)
    })
    await mirror.mirror.control.evict(IMAGE.manifest.digest)
    const miss = 'docker.io/library/app:1.27 is not in this offline mirror; it has 1.28'
    expect(await refused('/v2/library/app/manifests/1.27')).toContain(miss)
  })

  it('says of a tag that its manifest is damaged', async () => {
    await fillApp()
    const hex = digestHex(IMAGE.manifest.digest)
    const file = join(dir.path, 'blobs/sha256', hex.slice(0, 2), hex)
    const bytes = await readFile(file)
    await writeFile(
      file,
      bytes.map((byte) => byte ^ 1),
    )
    expect(await refused('/v2/library/app/manifests/1.27')).toBe(
      '404 MANIFEST_UNKNOWN: docker.io/library/app:1.27 is here, but its manifest cannot be read: see the log, and run `oci-mirror verify`',
    )
    await writeFile(file, bytes)
    expect((await ask('/v2/library/app/manifests/1.27')).status).toBe(200)
  })

  it('lists the tags that are here, in pages', async () => {
    const tags = ['10', '9', 'latest', 'Z', '1.0']
    for (const tag of tags) registry.add('library/app', IMAGE, tag)
    await fill(async (online) => {
      for (const tag of tags) await get(online, `/v2/library/app/manifests/${tag}`)
    })
    const all = await ask('/v2/library/app/tags/list')
    expect(JSON.parse(all.text)).toEqual({
      name: 'library/app',
      tags: ['1.0', '10', '9', 'Z', 'latest'],
    })
    expect(all.how).toBe('hit; detail=offline')
    const pages: string[][] = []
    for (let path: string | undefined = '/v2/library/app/tags/list?n=2'; path !== undefined;) {
      const { text, headers } = await ask(path)
      pages.push((JSON.parse(text) as { tags: string[] }).tags)
      path = /^<(.*)>; rel="next"$/.exec(headers.get('link') ?? '')?.[1]
    }
    expect(pages).toEqual([['1.0', '10'], ['9', 'Z'], ['latest']])
    const after = await ask('/v2/library/app/tags/list?last=99')
    expect(JSON.parse(after.text)).toMatchObject({ tags: ['Z', 'latest'] })
    const none = await ask('/v2/library/app/tags/list?n=0')
    expect([JSON.parse(none.text).tags, none.headers.get('link')]).toEqual([[], null])
  })

  it('lists no tag of a repository that was pulled by digest only', async () => {
    await fill((online) => get(online, `/v2/library/app/manifests/${IMAGE.manifest.digest}`))
    expect(JSON.parse((await ask('/v2/library/app/tags/list')).text)).toMatchObject({ tags: [] })
    expect(await refused('/v2/library/app/manifests/1')).toContain('; it has no tags (')
  })

  it('lists the referrers whose manifests are here, and no others', async () => {
    registry.add('library/app', SIGNATURE)
    registry.add('library/app', SBOM)
    await fill(async (online) => {
      await get(online, `/v2/library/app/manifests/${SIGNATURE.manifest.digest}`)
      await online.fetch(`/v2/library/app/referrers/${IMAGE.manifest.digest}`)
    })
    const path = `/v2/library/app/referrers/${IMAGE.manifest.digest}`
    const listed = await ask(path)
    expect([listed.status, listed.how]).toEqual([200, 'hit; detail=offline'])
    expect(JSON.parse(listed.text).manifests).toEqual([
      { ...descriptor(SIGNATURE.manifest), artifactType: 'application/sig' },
    ])
    const filtered = await ask(`${path}?artifactType=application/s`)
    expect(JSON.parse(filtered.text).manifests).toEqual([])
    const unknown = await ask(`/v2/library/app/referrers/${ABSENT}`)
    expect([unknown.status, JSON.parse(unknown.text).manifests]).toEqual([200, []])
  })

  it('lists what the tag that stands in for the list names, as far as it is here', async () => {
    const bare = buildArtifact({ artifactType: 'application/bare', seed: 'without a subject' })
    const entries = [bare, SBOM].map(({ manifest }) => ({ ...descriptor(manifest) }))
    const tag = referrersTag(IMAGE.manifest.digest)
    registry.addManifest('library/app', buildReferrersIndex(entries), tag)
    registry.add('library/app', bare)
    await fill(async (online) => {
      await get(online, `/v2/library/app/manifests/${tag}`)
      await get(online, `/v2/library/app/manifests/${bare.manifest.digest}`)
    })
    const listed = await ask(`/v2/library/app/referrers/${IMAGE.manifest.digest}`)
    expect(JSON.parse(listed.text).manifests).toEqual([descriptor(bare.manifest)])
  })

  it('shares no blob between repositories that have not shown that it is theirs', async () => {
    registry.add('library/fork', IMAGE, '1')
    await fill(async (online) => {
      await pull(online, 'library/app', '1.27', IMAGE)
      await get(online, '/v2/library/fork/manifests/1')
    })
    expect(await refused(`/v2/library/stranger/blobs/${LAYER.digest}`)).toBe(
      `404 BLOB_UNKNOWN: docker.io/library/stranger@${LAYER.digest} is not in this offline mirror ${REMEDY}`,
    )
    // A public registry's manifest is held that names it, and it came from there.
    expect((await ask(`/v2/library/fork/blobs/${LAYER.digest}`)).status).toBe(200)
  })

  it('takes a name for no proof where it had credentials', async () => {
    registry.add('library/fork', IMAGE, '1')
    const credentials = async () => ({ username: 'mirror', password: 'canary' })
    await fill(
      async (online) => {
        await pull(online, 'library/app', '1.27', IMAGE)
        await get(online, '/v2/library/fork/manifests/1')
      },
      { credentials },
    )
    const path = `blobs/${LAYER.digest}`
    expect((await ask(`/v2/library/app/${path}`)).status).toBe(200)
    expect(await refused(`/v2/library/fork/${path}`)).toMatch(/^404 BLOB_UNKNOWN/)
  })

  it('is not asked by a repair, which says what to do', async () => {
    await fillApp()
    await mirror.mirror.control.quarantine(LAYER.digest)
    const request = { references: [], repair: true, restart: true }
    const signal = new AbortController().signal
    const { findings } = await mirror.maintenance.verify(request, () => {}, signal)
    expect(findings).toEqual([
      {
        digest: LAYER.digest,
        state: 'damaged',
        repaired: false,
        reason: 'docker.io is offline in this mirror: import a bundle that has it',
      },
    ])
  })

  it('is shown as such, and as nothing that is down', async () => {
    await fillApp()
    const { activity } = await mirror.maintenance.stats()
    const endpoints: readonly object[] = []
    expect(activity?.upstreams).toMatchObject([{ mode: 'offline', state: { endpoints } }])
  })

  it('leaves no trace of what was asked for in vain', async () => {
    await fillApp()
    const before = await mirror.catalog.totals()
    for (let n = 0; n < 20; n += 1) await ask(`/v2/library/app/manifests/cold-${n}`)
    await ask(`/v2/library/app/blobs/${buildBlob('cold', 10).digest}`)
    expect(await mirror.catalog.totals()).toEqual(before)
    expect(await mirror.catalog.heldTags(APP, '', 100)).toEqual(['1.27' as Tag])
    expect(mirror.logs).toEqual([])
  })
})
