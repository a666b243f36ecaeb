import { setImmediate as nextTurn } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Digest } from '../../src/oci/digest.ts'
import { digestOf } from '../../src/oci/digest.ts'
import { OCI_MANIFEST } from '../../src/oci/media-types.ts'
import { ManualClock } from '../support/clock.ts'
import { FakeRegistry } from '../support/fake-registry.ts'
import type { TestBlob } from '../support/images.ts'
import { buildBlob, buildImage, buildIndex } from '../support/images.ts'
import { expectIntact } from '../support/oracle.ts'
import type { TestMirrorOptions } from '../support/test-mirror.ts'
import { TestMirror } from '../support/test-mirror.ts'

const WINDOW = 16
const REPOSITORY = 'library/app'
const IMAGE = buildImage({ seed: 'prefetch', layers: 24 })
const { config: CONFIG, layers: LAYERS } = IMAGE
const [FIRST, SECOND] = LAYERS as [TestBlob, TestBlob]
const MINUTE = 60_000

describe('prefetching', () => {
  let registry: FakeRegistry
  let mirror: TestMirror
  let clock: ManualClock

  beforeEach(async () => {
    clock = new ManualClock()
    registry = await FakeRegistry.start()
    registry.add(REPOSITORY, IMAGE, '1')
  })
  afterEach(async () => {
    await expectIntact(mirror, { retry: [CONFIG, ...LAYERS].map((blob) => pathOf(blob)) })
    await mirror[Symbol.asyncDispose]()
    await registry.close()
  })

  async function start(
    upstream: Partial<TestMirrorOptions['upstreams'][string]> = {},
    others: Partial<TestMirrorOptions> = {},
  ): Promise<void> {
    const upstreams = { 'docker.io': { registry, prefetch: true, ...upstream } }
    mirror = await TestMirror.start({ upstreams, clock, ...others })
  }

  const pathOf = ({ digest }: { readonly digest: Digest }, repository = REPOSITORY) =>
    `/v2/${repository}/blobs/${digest}`

  /** Blobs that upstream was asked for, in the order of asking. */
  const asked = () => registry.requests.filter(({ kind }) => kind === 'blob')
  const references = () => new Set(asked().map(({ reference }) => reference))
  const digestsOf = (...blobs: readonly TestBlob[]) => new Set(blobs.map(({ digest }) => digest))

  async function get(path: string, headers: Record<string, string> = {}): Promise<string> {
    const answer = await mirror.fetch(path, { headers: { accept: '*/*', ...headers } })
    expect(answer.status).toBeLessThan(300)
    const bytes = new Uint8Array(await answer.arrayBuffer())
    const digest = answer.headers.get('docker-content-digest')
    expect(answer.status === 206 || digestOf(bytes) === digest).toBe(true)
    return answer.headers.get('cache-status') ?? ''
  }

  const getManifest = (tag = '1', repository = REPOSITORY) =>
    get(`/v2/${repository}/manifests/${tag}`, { accept: `${OCI_MANIFEST}, */*` })

  describe('an image', () => {
    it('brings the next sixteen layers when its configuration is read, and no more', async () => {
      await start()
      await getManifest()
      await mirror.settle()
      expect(asked()).toEqual([])
      await get(pathOf(CONFIG))
      await mirror.settle()
      expect(references()).toEqual(digestsOf(CONFIG, ...LAYERS.slice(0, WINDOW)))
      expect(asked()).toHaveLength(1 + WINDOW)
    })

    it('leaves upstream to the first blob until that is answered, and for 10 ms at most', async () => {
      await start()
      await getManifest()
      const gate = registry.gate({ reference: CONFIG.digest, after: 0 })
      const pull = get(pathOf(CONFIG))
      await gate.reached
      await nextTurn()
      expect(references()).toEqual(digestsOf(CONFIG))
      await clock.advance(10)
      await expect.poll(() => asked().length).toBe(1 + WINDOW)
      gate.open()
      await pull
    })

    it('goes on ahead of a client that reads one layer after the other', async () => {
      await start()
      await getManifest()
      await get(pathOf(CONFIG))
      await mirror.settle()
      for (const [n, layer] of LAYERS.entries()) {
        expect(await get(pathOf(layer))).toBe('oci-mirror; hit')
        await mirror.settle()
        expect(asked()).toHaveLength(1 + Math.min(LAYERS.length, WINDOW + n + 1))
      }
      expect(references()).toEqual(digestsOf(CONFIG, ...LAYERS))
    })

    it('begins with whatever layer is asked for first', async () => {
      await start()
      await getManifest()
      await get(pathOf(LAYERS[22] ?? CONFIG))
      await mirror.settle()
      // The last layer, then from the front: the configuration is the first there.
      const front = [CONFIG, ...LAYERS.slice(0, WINDOW - 2)]
      expect(references()).toEqual(digestsOf(...LAYERS.slice(22), ...front))
    })

    it('is one download of each blob for a herd that pulls it', async () => {
      await start()
      const gate = registry.gate({ kind: 'blob', after: 0 })
      const pulls = Array.from({ length: 50 }, async () => {
        await getManifest()
        await get(pathOf(CONFIG))
        await Promise.all(LAYERS.slice(0, 12).map((layer) => get(pathOf(layer))))
        for (const layer of LAYERS.slice(12)) await get(pathOf(layer))
      })
      await gate.reached
      gate.open()
      await Promise.all(pulls)
      expect(asked()).toHaveLength(1 + LAYERS.length)
      expect(references()).toEqual(digestsOf(CONFIG, ...LAYERS))
      expect(registry.count({ kind: 'manifest' })).toBe(1)
    })

    it('costs nothing upstream when all of it is here, and brings only what is not', async () => {
      await start()
      const pull = async () => {
        await getManifest()
        for (const blob of [CONFIG, ...LAYERS]) await get(pathOf(blob))
        await mirror.settle()
      }
      await pull()
      registry.reset()
      await pull()
      await clock.advance(11 * MINUTE)
      await pull()
      expect(asked()).toEqual([])
      await clock.advance(11 * MINUTE)
      const gone = LAYERS.slice(3, 6)
      for (const { digest } of gone) await mirror.mirror.control.quarantine(digest)
      await getManifest()
      await get(pathOf(LAYERS[3] ?? CONFIG))
      await mirror.settle()
      expect(asked()).toHaveLength(3)
      expect(references()).toEqual(digestsOf(...gone))
    })

    it('is the one that was given out last, of those that name the blob', async () => {
      await start()
      const other = manifestOf(buildBlob('own config', 50), [FIRST, buildBlob('own layer', 5_000)])
      registry.add(REPOSITORY, other, '2')
      await getManifest('1')
      await getManifest('2')
      await get(pathOf(FIRST))
      await mirror.settle()
      expect(references()).toEqual(digestsOf(FIRST, other.config, ...other.layers))
    })

    it('is followed beside others that share its layers', async () => {
      await start()
      const own = Array.from({ length: 20 }, (_, n) => buildBlob(`own ${n}`, 100))
      const other = manifestOf(buildBlob('own config', 50), [FIRST, ...own])
      registry.add(REPOSITORY, other, '2')
      await getManifest('1')
      await get(pathOf(CONFIG))
      await getManifest('2')
      await get(pathOf(other.config))
      await mirror.settle()
      // The first layer is fetched for the one, and so is here for the other.
      expect(asked()).toHaveLength(2 + 2 * WINDOW)
      await get(pathOf(FIRST))
      await get(pathOf(own[0] ?? CONFIG))
      await mirror.settle()
      expect(asked()).toHaveLength(2 + 2 * WINDOW + 2)
    })

    it('is found through an index', async () => {
      await start()
      registry.add(REPOSITORY, buildIndex([IMAGE]), 'multi')
      await getManifest('multi')
      await getManifest(IMAGE.manifest.digest)
      await get(pathOf(CONFIG))
      await mirror.settle()
      expect(asked()).toHaveLength(1 + WINDOW)
    })
  })

  describe('is not done', () => {
    async function expectOnly(...blobs: readonly TestBlob[]): Promise<void> {
      await mirror.settle()
      expect(asked()).toHaveLength(blobs.length)
      expect(references()).toEqual(digestsOf(...blobs))
    }

    it('where the configuration turns it off', async () => {
      await start({ prefetch: false })
      await getManifest()
      await get(pathOf(CONFIG))
      await expectOnly(CONFIG)
    })

    it('for the parts that lazy pullers read, nor for HEAD', async () => {
      await start()
      await getManifest()
      await mirror.head(pathOf(CONFIG))
      await get(pathOf(FIRST), { range: 'bytes=0-99' })
      await get(pathOf(FIRST), { range: 'bytes=-50' })
      await expectOnly(FIRST)
    })

    it('for a blob whose manifest nobody was given', async () => {
      await start()
      await get(pathOf(CONFIG))
      await expectOnly(CONFIG)
    })

    it('in the name of another repository', async () => {
      await start()
      registry.add('library/other', IMAGE, '1')
      await getManifest()
      await get(pathOf(CONFIG, 'library/other'))
      await expectOnly(CONFIG)
      expect(asked().map(({ repository }) => repository)).toEqual(['library/other'])
    })

    it('for what an image does not have in its registry', async () => {
      await start()
      const foreign = {
        ...buildBlob('foreign', 10),
        mediaType: 'application/vnd.oci.image.layer.nondistributable.v1.tar',
      }
      const odd = manifestOf(CONFIG, [foreign, FIRST, SECOND, FIRST])
      registry.addManifest(REPOSITORY, odd.manifest, 'odd')
      await getManifest('odd')
      await get(pathOf(CONFIG))
      await expectOnly(CONFIG, FIRST, SECOND)
    })

    it('for an artifact of one blob', async () => {
      await start()
      registry.addManifest(REPOSITORY, manifestOf(CONFIG, []).manifest, 'single')
      await getManifest('single')
      await get(pathOf(CONFIG))
      await expectOnly(CONFIG)
    })
  })

  it('asks a cache-first upstream for what a client would ask it for', async () => {
    await start({ mode: 'cache-first' })
    await getManifest()
    await get(pathOf(CONFIG))
    await mirror.settle()
    expect(asked()).toHaveLength(1 + WINDOW)
  })

  it('asks in the name of the repository alone, and proves what others have', async () => {
    const credentials = async () => ({ username: 'robot', password: 'secret' })
    await start({ credentials })
    registry.addBlob('team/other', FIRST)
    await get(pathOf(FIRST, 'team/other'))
    await getManifest()
    await get(pathOf(CONFIG))
    await mirror.settle()
    const own = asked().filter(({ repository }) => repository === REPOSITORY)
    // What has only to be proved is not fetched.
    expect(own).toHaveLength(2 + WINDOW)
    const [proof] = own.filter(({ reference }) => reference === FIRST.digest)
    expect(proof?.headers['range']).toBe('bytes=0-0')
    expect(await get(pathOf(FIRST))).toBe('oci-mirror; hit')
  })
})

/** An image of given blobs. */
function manifestOf(config: TestBlob, layers: readonly TestBlob[]) {
  const describe = ({ mediaType, digest, size }: TestBlob) => ({ mediaType, digest, size })
  const bytes = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: OCI_MANIFEST,
      config: describe(config),
      layers: layers.map(describe),
    }),
  )
  const manifest = { bytes, size: bytes.length, digest: digestOf(bytes), mediaType: OCI_MANIFEST }
  const platform = { os: 'linux', architecture: 'amd64' }
  return { manifest, config, layers, platform }
}
