import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { digestOf } from '../../src/oci/digest.ts'
import { readCompose } from '../support/container-files.ts'
import { FakeRegistry } from '../support/fake-registry.ts'
import { buildImage } from '../support/images.ts'
import { rawRequest } from '../support/raw-request.ts'
import type { TempDir } from '../support/temp-dir.ts'
import { makeTempDir } from '../support/temp-dir.ts'
import { writeBaseContext } from './support/base-image.ts'
import { Containers } from './support/containers.ts'
import { writeNpmAccess } from './support/npm-package.ts'
import type { Program } from './support/programs.ts'
import { answers, freePort } from './support/programs.ts'

const ROOT = join(import.meta.dirname, '../..')
const BASE = 'localhost/oci-mirror-e2e-base'
const IMAGE = 'localhost/oci-mirror-e2e'
const CONTENT = buildImage({ seed: 'container', layerBytes: 1_200_000 })

let dir: TempDir
let registry: FakeRegistry
let containers: Containers
let options: readonly string[]
let port: number

beforeAll(async () => {
  dir = await makeTempDir()
  registry = await FakeRegistry.start()
  registry.add('library/x', CONTENT, 'v1')
  containers = await Containers.open(dir.path)
  await buildImages()
  port = await freePort()
  options = [
    ...(await composeOptions()),
    // Where the README says that it goes.
    `--volume=${await writeConfiguration()}:/etc/oci-mirror/mirror.config.ts:ro`,
    // The machine's network is shared: other ports than usual, and loopback only.
    `--env=OCI_MIRROR_LISTEN=127.0.0.1:${port}`,
    `--env=OCI_MIRROR_ADMIN_LISTEN=127.0.0.1:${await freePort()}`,
  ]
})

afterAll(async () => {
  await containers?.close()
  await registry?.close()
  await dir?.remove()
})

async function buildImages(): Promise<void> {
  const context = join(dir.path, 'base')
  await mkdir(context)
  await writeBaseContext(context)
  await containers.build(context, { tag: BASE })
  const { npmrc, mounts } = await writeNpmAccess(dir.path)
  await containers.build(ROOT, { tag: IMAGE, args: { BASE }, secrets: { npmrc }, mounts })
}

/** What docker-compose.yml asks for, in podman's words, and nothing that podman adds by itself. */
async function composeOptions(): Promise<readonly string[]> {
  const service = (await readCompose()).services['oci-mirror']
  return [
    `--read-only=${service.read_only}`,
    '--read-only-tmpfs=false',
    ...service.tmpfs.map((path) => `--tmpfs=${path}`),
    ...service.volumes.map((volume) => `--volume=${volume}`),
    ...service.cap_drop.map((capability) => `--cap-drop=${capability}`),
    ...service.security_opt.map((option) => `--security-opt=${option}`),
  ]
}

async function writeConfiguration(): Promise<string> {
  const file = join(dir.path, 'mirror.config.ts')
  const upstreams = { 'docker.io': { url: registry.url } }
  // The machine's disk may be nearly full: that is another test's business.
  const config = JSON.stringify({ storage: { minFree: '0' }, upstreams })
  const code = `import { defineConfig } from 'oci-mirror'\nexport default defineConfig(${config})\n`
  await writeFile(file, code, { mode: 0o644 })
  return file
}

async function start(name: string): Promise<Program> {
  const program = containers.run(`--name=${name}`, ...options, IMAGE)
  await program.ready(() => answers(`http://127.0.0.1:${port}/readyz`, [200]))
  return program
}

/** What the kernel knows of the container's process: `/proc/PID`. */
async function processFolder(name: string): Promise<string> {
  const pid = await containers.podman('inspect', '--format={{.State.Pid}}', name)
  return join('/proc', pid.trim())
}

/** Each of the image's parts as the mirror serves it: how it came, and whether it is right. */
async function pull() {
  const { manifest, config, layers } = CONTENT
  const targets = ['manifests/v1', ...[config, ...layers].map(({ digest }) => `blobs/${digest}`)]
  const digests: string[] = []
  for (const target of targets) {
    const { body } = await rawRequest({ port, target: `/v2/library/x/${target}` })
    digests.push(digestOf(body))
  }
  return { digests, expected: [manifest, config, ...layers].map(({ digest }) => digest) }
}

describe('the container that docker-compose.yml describes', () => {
  let running: Program

  beforeAll(async () => {
    running = await start('first')
  })

  it('pulls through, as the configuration that is mounted into it says', async () => {
    const { digests, expected } = await pull()
    expect(digests).toEqual(expected)
    expect(registry.count({ kind: 'blob' })).toBe(expected.length - 1)
  })

  it('runs as a user without any privilege, and node itself gets the signals', async () => {
    const folder = await processFolder('first')
    const status = await readFile(join(folder, 'status'), 'utf8')
    const field = (name: string) => new RegExp(`^${name}:\\s+(.*)$`, 'm').exec(status)?.[1]
    expect({
      user: field('Uid'),
      group: field('Gid'),
      capabilities: [field('CapPrm'), field('CapEff'), field('CapBnd')].map(Number),
      noNewPrivileges: field('NoNewPrivs'),
      idInContainer: field('NSpid')?.split('\t').at(-1),
    }).toEqual({
      user: '1000\t1000\t1000\t1000',
      group: '1000\t1000\t1000\t1000',
      capabilities: [0, 0, 0],
      noNewPrivileges: '1',
      idInContainer: '1',
    })
    const command = (await readFile(join(folder, 'cmdline'), 'utf8')).split('\0')
    expect(command.slice(0, 3)).toEqual([
      'node',
      '--max-semi-space-size=4',
      '--heap-growing-percent=100',
    ])
  })

  it('writes nowhere but to its data: the root is read-only, and the rest stays empty', async () => {
    const folder = await processFolder('first')
    const mounts = (await readFile(join(folder, 'mounts'), 'utf8')).split('\n')
    const root = mounts.map((line) => line.split(' ')).findLast(([, path]) => path === '/')
    expect(root?.[3]?.split(',')).toContain('ro')
    for (const path of ['tmp', 'dev/shm']) {
      expect(await readdir(join(folder, 'root', path))).toEqual([])
    }
    expect(await readdir(join(folder, 'root/data'))).toContain('blobs')
  })

  it('holds what runs, and nothing that built it', async () => {
    const root = join(await processFolder('first'), 'root')
    expect((await readdir(join(root, 'app'))).toSorted()).toEqual([
      'dist',
      'node_modules',
      'package.json',
    ])
    const packages = await readdir(join(root, 'app/node_modules'))
    expect(packages).toContain('better-sqlite3')
    for (const name of ['typescript', 'vitest', 'node']) expect(packages).not.toContain(name)
    // npm's settings may hold a credential.
    expect(await readdir(join(root, 'root'))).not.toContain('.npmrc')
  })

  it('is healthy where OCI_MIRROR_LISTEN says, and not where nothing listens', async () => {
    await expect(containers.podman('healthcheck', 'run', 'first')).resolves.toBeDefined()
    const elsewhere = `--env=OCI_MIRROR_LISTEN=127.0.0.1:${await freePort()}`
    const asked = containers.podman('exec', elsewhere, 'first', 'oci-mirror', 'healthcheck')
    await expect(asked).rejects.toThrow('nothing listens there')
  })

  it('is looked after from inside, where its admin listener is', async () => {
    const said = await containers.podman('exec', 'first', 'oci-mirror', 'stats', '-o', 'json')
    const content = [CONTENT.manifest, CONTENT.config, ...CONTENT.layers]
    expect(JSON.parse(said)).toMatchObject({
      stored: { blobs: content.length, bytes: content.reduce((sum, blob) => sum + blob.size, 0) },
      activity: { disk: { kind: 'ok' }, upstreams: [{ upstream: 'docker.io', failed: 0 }] },
    })
  })

  it('ends with 0 on SIGTERM, and the next one has its data', async () => {
    expect(await running.stop()).toEqual({ code: 0, signal: null })
    await registry.stop()
    await start('second')
    const { digests, expected } = await pull()
    expect(digests).toEqual(expected)
  })
})
