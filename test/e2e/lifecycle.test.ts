import { writeFile } from 'node:fs/promises'
import { constants } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { digestOf } from '../../src/oci/digest.ts'
import { FakeRegistry } from '../support/fake-registry.ts'
import type { TestImage } from '../support/images.ts'
import { buildBlob, buildImage } from '../support/images.ts'
import { RawExchange, rawRequest } from '../support/raw-request.ts'
import type { TempDir } from '../support/temp-dir.ts'
import { makeTempDir } from '../support/temp-dir.ts'
import type { MirrorProgram } from './support/mirror-program.ts'
import { launchMirror, startMirror } from './support/mirror-program.ts'
import { answers } from './support/programs.ts'

const MIB = 1024 * 1024
/** Far less than the mirror waits for answers under way, far more than a busy machine delays it. */
const PROMPT_MS = 10_000
const BLOB = buildBlob('lifecycle', 4 * MIB)
const BLOB_TARGET = `/v2/library/x/blobs/${BLOB.digest}`

let dir: TempDir
let registry: FakeRegistry
const running: MirrorProgram[] = []

beforeEach(async () => {
  dir = await makeTempDir()
  registry = await FakeRegistry.start()
  registry.addBlob('library/x', BLOB)
})

afterEach(async () => {
  await Promise.all(running.splice(0).map(({ program }) => program.stop()))
  await registry.close()
  await dir.remove()
})

async function start(options: { readonly dataDir?: string } = {}): Promise<MirrorProgram> {
  const mirror = await startMirror({ dir: dir.path, config: config(), ...options })
  running.push(mirror)
  return mirror
}

function config() {
  return { upstreams: { 'docker.io': { url: registry.url } } }
}

/** Upstream sends half of the blob and waits; a client follows, which keeps its connection as real ones do. */
async function startDownload({ port }: MirrorProgram) {
  const gate = registry.gate({ kind: 'blob', after: 2 * MIB })
  const headers = [['Connection', 'keep-alive']] as const
  const client = await RawExchange.open({ port, target: BLOB_TARGET, headers })
  await gate.reached
  expect((await client.head()).status).toBe(200)
  return { client, gate }
}

async function untilDraining(mirror: MirrorProgram): Promise<void> {
  while (await answers(`${mirror.url}/readyz`, [200])) await sleep(20)
}

describe('SIGTERM', () => {
  it('lets a running download finish, and then exits with 0 at once', async () => {
    const mirror = await start()
    const { client, gate } = await startDownload(mirror)
    mirror.program.kill('SIGTERM')
    await untilDraining(mirror)
    gate.open()
    const { body, end } = await client.rest()
    expect({ end, digest: digestOf(body) }).toEqual({ end: 'complete', digest: BLOB.digest })
    const late = sleep(PROMPT_MS, 'still running', { ref: false })
    expect(await Promise.race([mirror.program.exited, late])).toEqual({ code: 0, signal: null })
    client.leave()
  })

  it('exits although nobody reads the log any more', async () => {
    const { program } = await start()
    program.stopReading()
    program.kill('SIGTERM')
    const late = sleep(PROMPT_MS, 'still running', { ref: false })
    expect(await Promise.race([program.exited, late])).toEqual({ code: 0, signal: null })
  })

  it('exits at once when it comes twice', async () => {
    const mirror = await start()
    const { client } = await startDownload(mirror)
    mirror.program.kill('SIGTERM')
    await untilDraining(mirror)
    mirror.program.kill('SIGTERM')
    const late = sleep(PROMPT_MS, 'still running', { ref: false })
    const exit = await Promise.race([mirror.program.exited, late])
    expect(exit).toEqual({ code: 128 + constants.signals.SIGTERM, signal: null })
    client.leave()
  })
})

describe('kill -9 in the middle of a download', () => {
  it('loses nothing that was cached, and nothing is wrong afterwards', async () => {
    const image = buildImage({ seed: 'killed', layers: 3, layerBytes: MIB + 1 })
    registry.add('library/warm', image, 'v1')
    const first = await start()
    expect(await pull(first, image)).toEqual(contentOf(image))
    const { client } = await startDownload(first)
    first.program.kill('SIGKILL')
    await first.program.exited
    client.leave()
    await registry.stop()

    const second = await start()
    expect(await pull(second, image)).toEqual(contentOf(image))
    registry.reset()
    await registry.restart()
    const { status, body } = await rawRequest({ port: second.port, target: BLOB_TARGET })
    expect({ status, digest: digestOf(body) }).toEqual({ status: 200, digest: BLOB.digest })
  })
})

describe('a start that cannot succeed', () => {
  it('ends with one line for a data directory that another process has', async () => {
    const first = await start()
    const dataDir = join(dir.path, 'data')
    expect(await failure({ dataDir })).toContain('another oci-mirror')
    expect(await failure({ dataDir })).toContain(dataDir)
    expect(await answers(`${first.url}/readyz`, [200])).toBe(true)
  })

  it('ends with one line for a port that is taken', async () => {
    const { port } = await start()
    const dataDir = join(dir.path, 'other')
    expect(await failure({ dataDir, port })).toContain(String(port))
  })

  it('ends with one line for a data directory that cannot be made', async () => {
    const file = join(dir.path, 'file')
    await writeFile(file, '')
    expect(await failure({ dataDir: join(file, 'data') })).toContain(join(file, 'data'))
  })

  it('ends with one line for credentials that nobody said may be shared', async () => {
    const auth = { username: 'ann', password: 'secret-canary' }
    const upstreams = { 'docker.io': { url: registry.url, auth } }
    const line = await failure({ config: { upstreams } })
    expect(line).toContain('access')
    expect(line).not.toContain('secret-canary')
  })
})

/** The one line that a start prints before it ends with a code that is not 0. */
async function failure(options: Partial<Parameters<typeof launchMirror>[0]>): Promise<string> {
  const mirror = await launchMirror({ dir: dir.path, config: config(), ...options })
  running.push(mirror)
  const { code } = await mirror.program.exited
  const lines = mirror.program.stderr().trim().split('\n')
  expect({ isFailure: code !== null && code > 0, lines }).toEqual({
    isFailure: true,
    lines: [expect.stringMatching(/\S/)],
  })
  return lines[0] ?? ''
}

/** The digests of everything that belongs to the image, as the mirror serves it. */
async function pull({ port }: MirrorProgram, image: TestImage): Promise<readonly string[]> {
  const targets = [
    'manifests/v1',
    ...contentOf(image)
      .slice(1)
      .map((digest) => `blobs/${digest}`),
  ]
  const digests: string[] = []
  for (const target of targets) {
    const { body } = await rawRequest({ port, target: `/v2/library/warm/${target}` })
    digests.push(digestOf(body))
  }
  return digests
}

function contentOf({ manifest, config: configuration, layers }: TestImage): readonly string[] {
  return [manifest, configuration, ...layers].map(({ digest }) => digest)
}
