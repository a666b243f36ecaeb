import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { warm } from '../airgap/warm/warm.ts'
import { FakeRegistry } from '../support/fake-registry.ts'
import { buildImage } from '../support/images.ts'
import { expectIntact } from '../support/oracle.ts'
import { TestMirror } from '../support/test-mirror.ts'

const IMAGE = buildImage({ seed: 'lanes', layers: 3, layerBytes: 200_000 })
const BLOBS = [IMAGE.config, ...IMAGE.layers]
const OPTIONS = { referrers: false }
const pathOf = ({ digest }: { readonly digest: string }) => `/v2/library/app/blobs/${digest}`

describe('a warming that has to wait for its turn', () => {
  let registry: FakeRegistry
  let mirror: TestMirror

  beforeEach(async () => {
    registry = await FakeRegistry.start()
    registry.add('library/app', IMAGE, '1')
    // Three slots for blobs, one of them for the background.
    const upstreams = { 'docker.io': { registry, connections: 4 } }
    mirror = await TestMirror.start({ upstreams })
  })
  afterEach(async () => {
    await expectIntact(mirror, { retry: BLOBS.map(pathOf) })
    await mirror[Symbol.asyncDispose]()
    await registry.close()
  })

  it('keeps no client waiting, not even for the same blobs, and downloads nothing twice', async () => {
    const gate = registry.gate({ kind: 'blob', after: 10 })
    const warming = warm(mirror, ['app:1'], OPTIONS)
    await gate.reached
    const asked = () => registry.requests.filter(({ kind }) => kind === 'blob')
    const [held] = asked()
    expect(asked()).toHaveLength(1)
    const waiting = BLOBS.filter(({ digest }) => digest !== held?.reference)
    expect(waiting).toHaveLength(3)
    // Two of them get the other slots at once, while the background's one is still taken.
    const answers = waiting.slice(0, 2).map((blob) => mirror.fetch(pathOf(blob)))
    await expect.poll(() => asked().length).toBe(3)
    gate.open()
    for (const answer of await Promise.all(answers)) {
      expect(answer.status).toBe(200)
      await answer.arrayBuffer()
    }
    expect((await warming).states).toEqual({ 'docker.io/library/app:1': 'fetched' })
    expect(asked()).toHaveLength(BLOBS.length)
    const references = new Set(asked().map(({ reference }) => reference))
    expect(references).toEqual(new Set(BLOBS.map(({ digest }) => digest)))
  })

  it('can be stopped while clients keep every slot, and leaves nothing behind', async () => {
    const gate = registry.gate({ kind: 'blob', after: 10 })
    const clients = IMAGE.layers.map((layer) => mirror.fetch(pathOf(layer)))
    await expect.poll(() => registry.count({ kind: 'blob' })).toBe(3)
    const stopped = new AbortController()
    const warming = warm(mirror, ['app:1'], { ...OPTIONS, signal: stopped.signal })
    const { operations } = mirror
    const behind = async () => (await operations.maintenance.stats()).activity?.upstreams[0]?.state
    await expect.poll(behind).toMatchObject({ queued: 0, background: 1 })
    stopped.abort(new Error('stopped by the test'))
    await expect(warming).rejects.toThrow('stopped by the test')
    gate.open()
    for (const answer of await Promise.all(clients)) await answer.arrayBuffer()
    await expect.poll(behind).toMatchObject({ underWay: 0, queued: 0, background: 0 })
  })
})
