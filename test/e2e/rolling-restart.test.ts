import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { digestOf } from '../../src/oci/digest.ts'
import { FakeRegistry } from '../support/fake-registry.ts'
import { buildBlob } from '../support/images.ts'
import { expectTrueNames, expectTrueRows } from '../support/oracle.ts'
import { makeTempDir } from '../support/temp-dir.ts'
import { startMirror } from './support/mirror-program.ts'
import { freePort } from './support/programs.ts'

const CLIENTS = 8
const RESTARTS = 2
const PULLS = 20
/** A client tries again for so long, in milliseconds, as containerd and Docker would. */
const PATIENCE_MS = 15_000
const blobs = Array.from({ length: CLIENTS * PULLS }, (_, n) =>
  buildBlob(`rolling ${n}`, n % 10 === 0 ? 3_000_000 : 40_000),
)

describe('restarts in order, one after another, under load', () => {
  it('fail no pull that is tried again, and cost upstream one token each, whoever asks', async () => {
    await using dir = await makeTempDir()
    await using registry = await FakeRegistry.start({ auth: { kind: 'token' } })
    for (const blob of blobs) registry.addBlob('acme/app', blob)
    const config = { upstreams: { 'docker.io': { url: registry.url } } }
    const options = { dir: dir.path, port: await freePort(), config }
    let mirror = await startMirror(options)
    const statuses = new Set<number>()

    const pull = async (path: string): Promise<string> => {
      const end = Date.now() + PATIENCE_MS
      for (;;) {
        try {
          const response = await fetch(`${mirror.url}${path}`)
          const bytes = new Uint8Array(await response.arrayBuffer())
          statuses.add(response.status)
          if (response.status === 200) return digestOf(bytes)
        } catch (reason) {
          // Cut, or nobody listens at the moment.
          if (Date.now() > end) throw reason
        }
        await sleep(50)
      }
    }
    const client = async (first: number) => {
      for (const { digest } of blobs.slice(first, first + PULLS)) {
        expect(await pull(`/v2/acme/app/blobs/${digest}`)).toBe(digest)
        await sleep(100)
      }
    }
    const clients = Promise.all(Array.from({ length: CLIENTS }, (_, n) => client(n * PULLS)))
    for (let n = 0; n < RESTARTS; n += 1) {
      await sleep(300)
      await mirror.stop()
      mirror = await startMirror(options)
    }
    await clients
    await mirror.stop()

    expect(statuses.has(401)).toBe(false)
    expect(registry.count({ kind: 'token' })).toBeLessThanOrEqual(RESTARTS + 1)
    const dataDir = join(dir.path, 'data')
    await expectTrueNames(dataDir)
    await expectTrueRows(dataDir)
  })
})
