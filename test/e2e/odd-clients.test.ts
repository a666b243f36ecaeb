import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { FakeRegistry } from '../support/fake-registry.ts'
import { buildImage } from '../support/images.ts'
import { rawRequest } from '../support/raw-request.ts'
import type { TempDir } from '../support/temp-dir.ts'
import { makeTempDir } from '../support/temp-dir.ts'
import type { Docker } from './clients/docker.ts'
import { startDocker } from './clients/docker.ts'
import { createCrane } from './clients/explicit-name.ts'
import { allDigests, unpackedDigests, writeConfig } from './clients/pull-client.ts'
import { goProgram } from './support/go-programs.ts'
import type { MirrorProgram } from './support/mirror-program.ts'
import { startMirror } from './support/mirror-program.ts'
import { Outside } from './support/outside.ts'
import { Program, runCommand } from './support/programs.ts'

const MIB = 1024 * 1024
const PASSWORD = 'canary-password'
const IMAGE = buildImage({ seed: 'odd clients', mediaTypes: 'docker' })
const NAME = { registry: 'docker.io', repository: 'library/x', reference: { tag: 'v1' } } as const

let dir: TempDir
let registry: FakeRegistry
let mirror: MirrorProgram
let outside: Outside
let docker: Docker

beforeAll(async () => {
  dir = await makeTempDir()
  registry = await FakeRegistry.start()
  registry.add('library/x', IMAGE, 'v1')
  const upstreams = { 'docker.io': { url: registry.url } }
  const log = { level: 'trace', format: 'json' }
  mirror = await startMirror({ dir: dir.path, config: { upstreams, log } })
  outside = await Outside.start()
  const settings = { 'registry-mirrors': [mirror.url] }
  docker = await startDocker({ dir: join(dir.path, 'docker'), settings, env: outside.env })
})

afterAll(async () => {
  await docker?.stop()
  await outside?.close()
  await mirror?.stop()
  await registry?.close()
  await dir?.remove()
})

beforeEach(() => void outside.takeAsked())

function printed(): string {
  return mirror.program.stdout() + mirror.program.stderr()
}

describe('a client that logs in where there are no users', () => {
  const credentials = ['--username', 'ann', '--password', PASSWORD]

  it('is let in by Docker, and pulls with its credentials as without them', async () => {
    expect(await docker.run('login', ...credentials, mirror.host)).toContain('Login Succeeded')
    const name = { ...NAME, registry: `${mirror.host}/docker.io` }
    expect(await docker.client().pull(name, ['amd64'])).toEqual(unpackedDigests(IMAGE))
  })

  it('is let in by skopeo, and pulls with its credentials as without them', async () => {
    const authfile = ['--authfile', join(dir.path, 'skopeo-auth.json'), '--tls-verify=false']
    const { env } = outside
    const login = ['login', ...authfile, ...credentials, mirror.host]
    expect(await runCommand('skopeo', login, { env })).toContain('Login Succeeded')
    const image = `docker://${mirror.host}/docker.io/library/x:v1`
    const inspected = await runCommand('skopeo', ['inspect', '--raw', ...authfile, image], { env })
    expect(inspected).toBe(Buffer.from(IMAGE.manifest.bytes).toString())
  })

  it('gives its password neither to the log nor to the registry', () => {
    const encoded = btoa(`ann:${PASSWORD}`)
    for (const secret of [PASSWORD, encoded]) expect(printed()).not.toContain(secret)
    const authorizations = registry.requests.map(({ headers }) => headers['authorization'])
    expect(new Set(authorizations)).toEqual(new Set([undefined]))
  })
})

describe("a client that has another registry's credentials for the mirror", () => {
  it.each([
    ['a password', { auth: btoa(`ann:${PASSWORD}`) }],
    ['a token', { registrytoken: 'canary-token' }],
  ])('pulls with %s', async (_title, entry) => {
    const env = { ...outside.env, DOCKER_CONFIG: join(dir.path, `config-${Object.keys(entry)[0]}`) }
    const auths = { [mirror.host]: entry }
    await writeConfig(env.DOCKER_CONFIG, 'config.json', JSON.stringify({ auths }))
    const options = { dir: join(dir.path, 'crane'), place: `${mirror.host}/docker.io`, env }
    expect(await createCrane(options).pull(NAME, [])).toEqual(allDigests(IMAGE))
    expect(printed()).not.toMatch(/canary-token|canary-password/)
  })
})

describe('a client that speaks the protocol of before 2015', () => {
  it('is told what is spoken here', async () => {
    for (const target of ['/v1/_ping', '/v1/search?q=x', '/v1/repositories/library/x/images']) {
      const { status, body } = await rawRequest({ port: mirror.port, target })
      expect({ target, status }).toEqual({ target, status: 404 })
      expect(body.toString()).toContain('/v2/')
    }
  })

  it('fails clearly when it is `docker search`', async () => {
    const search = docker.run('search', `${mirror.host}/library/x`)
    await expect(search).rejects.toThrow(/status code 404/)
    expect(outside.takeAsked()).toEqual([])
  })
})

describe('a client that is killed in the middle of a pull', () => {
  it('costs no second download, and nobody else notices', async () => {
    const large = buildImage({ seed: 'killed client', layers: 1, layerBytes: 8 * MIB })
    registry.add('library/large', large, 'v1')
    const [layer] = large.layers
    if (layer === undefined) throw new Error('an image without layers')
    const filter = { kind: 'blob', reference: layer.digest } as const
    const gate = registry.gate({ ...filter, after: 4 * MIB })
    const place = `${mirror.host}/docker.io`
    const args = ['pull', '--insecure', `${place}/library/large:v1`, join(dir.path, 'killed.tar')]
    const killed = Program.start(goProgram('crane'), args, { env: outside.env })
    await gate.reached
    killed.kill('SIGKILL')
    await killed.exited
    const options = { dir: join(dir.path, 'crane-2'), place, env: outside.env }
    const other = createCrane(options).pull({ ...NAME, repository: 'library/large' }, [])
    gate.open()
    expect(await other).toEqual(allDigests(large))
    expect(registry.count(filter)).toBe(1)
  })
})
