import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import {
  copiedPaths,
  lastOf,
  pairsOf,
  readCompose,
  readDockerfile,
} from './support/container-files.ts'

const ROOT = join(import.meta.dirname, '..')

interface Manifest {
  readonly name: string
  readonly version: string
  readonly description: string
  readonly license: string
  readonly bin: { readonly 'oci-mirror': string }
  readonly scripts: { readonly start: string }
  readonly devDependencies: { readonly node: string }
}

async function readManifest(): Promise<Manifest> {
  return JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')) as Manifest
}

/** The stage that becomes the image. */
async function imageStage() {
  const stage = (await readDockerfile()).at(-1)
  if (stage === undefined) throw new Error('the Dockerfile has no stage')
  return stage
}

describe('the Dockerfile', () => {
  it('runs the program as `npm start` does, except for the compile cache', async () => {
    const { scripts, bin } = await readManifest()
    const words = scripts.start.split(' ')
    const node = words.indexOf('node')
    const env = Object.fromEntries(words.slice(0, node).map((word) => word.split('=')))
    const { NODE_COMPILE_CACHE: cache, ...expected } = env
    const stage = await imageStage()
    const { OCI_MIRROR_LISTEN: _listen, OCI_MIRROR_DATA: _data, ...set } = pairsOf(stage, 'ENV')
    const entrypoint: unknown = JSON.parse(lastOf(stage, 'ENTRYPOINT'))
    const command = JSON.parse(lastOf(stage, 'CMD')) as readonly string[]
    expect(cache).toBeDefined()
    expect(set).toEqual(expected)
    expect([...(entrypoint as readonly string[]), ...command]).toEqual(
      words
        .slice(node)
        .map((word) => (word === 'src/main.ts' ? `/app/${bin['oci-mirror']}` : word)),
    )
  })

  it('is about this package', async () => {
    const { name, version, description, license } = await readManifest()
    expect(pairsOf(await imageStage(), 'LABEL')).toEqual({
      'org.opencontainers.image.title': name,
      'org.opencontainers.image.description': description,
      'org.opencontainers.image.version': version,
      'org.opencontainers.image.licenses': license,
    })
  })

  it('is built on the release of Node that everything is tested on', async () => {
    const { devDependencies } = await readManifest()
    const [, major] = /^\^(\d+)\./.exec(devDependencies.node) ?? []
    const text = await readFile(join(ROOT, 'Dockerfile'), 'utf8')
    expect(text).toContain(`\nARG BASE=docker.io/library/node:${major}-slim\n`)
  })

  it('names its user by a number, so that an orchestrator can see that it is not root', async () => {
    expect(lastOf(await imageStage(), 'USER')).toMatch(/^[1-9]\d*:[1-9]\d*$/)
  })

  it('asks the program itself whether it is healthy', async () => {
    expect(lastOf(await imageStage(), 'HEALTHCHECK')).toMatch(
      / CMD \["oci-mirror", "healthcheck"\]$/,
    )
  })

  it('copies nothing that .dockerignore keeps from it, which is everything but what it copies', async () => {
    const ignore = await readFile(join(ROOT, '.dockerignore'), 'utf8')
    const [all, ...kept] = ignore.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
    const copied = (await readDockerfile()).flatMap(copiedPaths)
    expect(all).toBe('*')
    expect(kept.map((line) => line.slice(1)).toSorted()).toEqual([...copied].toSorted())
  })
})

describe('docker-compose.yml', () => {
  it('describes one service that may write to its data and nowhere else, and leaves the rest to the image', async () => {
    expect(await readCompose()).toEqual({
      services: {
        'oci-mirror': {
          build: '.',
          image: 'oci-mirror',
          restart: 'unless-stopped',
          stop_grace_period: '30s',
          ports: ['127.0.0.1:5000:5000'],
          volumes: ['data:/data'],
          tmpfs: ['/tmp'],
          read_only: true,
          cap_drop: ['ALL'],
          security_opt: ['no-new-privileges'],
        },
      },
      volumes: { data: null },
    })
  })
})
