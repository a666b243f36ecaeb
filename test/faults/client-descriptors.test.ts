import { createHash } from 'node:crypto'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { MirrorProgram } from '../e2e/support/mirror-program.ts'
import { startMirror } from '../e2e/support/mirror-program.ts'
import { runCommand } from '../e2e/support/programs.ts'
import { FakeRegistry } from '../support/fake-registry.ts'
import { buildBlob, buildImage } from '../support/images.ts'
import { expectTrueNames, expectTrueRows } from '../support/oracle.ts'
import type { TempDir } from '../support/temp-dir.ts'
import { makeTempDir } from '../support/temp-dir.ts'

const MIB = 1024 * 1024
const DESCRIPTORS = 64
const image = buildImage({ seed: 'descriptors' })
const warm = buildBlob('warm', 2 * MIB)
const cold = buildBlob('cold', 2 * MIB)

describe('a mirror that may have 64 descriptors', () => {
  let dir: TempDir
  let registry: FakeRegistry
  let mirror: MirrorProgram

  beforeAll(async () => {
    dir = await makeTempDir()
    registry = await FakeRegistry.start()
    registry.add('library/app', image, 'v1')
    for (const blob of [warm, cold]) registry.addBlob('library/app', blob)
    const config = { upstreams: { 'docker.io': { url: registry.url } } }
    mirror = await startMirror({ dir: dir.path, config })
    const pid = String(mirror.program.pid)
    await runCommand('prlimit', ['--pid', pid, `--nofile=${DESCRIPTORS}:${DESCRIPTORS}`])
    expect(await take(`blobs/${warm.digest}`)).toBe(warm.digest)
  })
  afterAll(async () => {
    await mirror?.stop()
    await expectTrueNames(`${dir.path}/data`)
    await expectTrueRows(`${dir.path}/data`)
    await registry?.close()
    await dir?.remove()
  })

  /** The digest of what came, the status if that was not 200, or that no answer came. */
  async function take(path: string): Promise<string | number> {
    try {
      const response = await fetch(`${mirror.url}/v2/library/app/${path}`, {
        headers: { connection: 'close' },
        signal: AbortSignal.timeout(5_000),
      })
      const body = new Uint8Array(await response.arrayBuffer())
      if (response.status !== 200) return response.status
      return `sha256:${createHash('sha256').update(body).digest('hex')}`
    } catch {
      // Closed without an answer: there is no descriptor for the connection.
      return 'closed'
    }
  }

  async function crowd(size: number): Promise<readonly Socket[]> {
    const sockets = Array.from({ length: size }, () => {
      const socket = connect(mirror.port, '127.0.0.1').on('error', () => undefined)
      return socket
    })
    await Promise.all(sockets.map((socket) => once(socket, 'connect')))
    await sleep(300)
    return sockets
  }

  it('refuses what it has none for, gives no wrong byte, and recovers by itself', async () => {
    const seen = new Set<string | number>()
    // Beginning with as many as leave a few: first the files are what it cannot open, then connections.
    for (const size of [20, 25, 30, 35, 40, 120]) {
      const sockets = await crowd(size)
      const paths = [`blobs/${warm.digest}`, `blobs/${cold.digest}`, 'manifests/v1']
      const answers = await Promise.all([...paths, ...paths].map((path) => take(path)))
      for (const answer of answers) seen.add(answer)
      const right = [warm.digest, cold.digest, image.manifest.digest]
      const acceptable = new Set<string | number>([...right, 503, 'closed'])
      expect([size, answers.filter((answer) => !acceptable.has(answer))]).toEqual([size, []])
      for (const socket of sockets) socket.destroy()
      await expect.poll(() => take(`blobs/${warm.digest}`), { timeout: 5_000 }).toBe(warm.digest)
    }
    await expect.poll(() => take(`blobs/${cold.digest}`), { timeout: 5_000 }).toBe(cold.digest)
    expect(await take('manifests/v1')).toBe(image.manifest.digest)
    expect(seen).toContain('closed')
    expect(mirror.program.isRunning).toBe(true)
  }, 60_000)
})
