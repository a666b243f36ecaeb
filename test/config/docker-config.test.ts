import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { dockerServer, readDockerConfig } from '../../src/config/docker-config.ts'
import type { TempDir } from '../support/temp-dir.ts'
import { makeTempDir } from '../support/temp-dir.ts'

const HUB = 'https://index.docker.io/v1/'
const LOGIN = { username: 'user', password: 'canary:with:colons' }
const AUTH = base64('user:canary:with:colons')

function base64(text: string): string {
  return Buffer.from(text).toString('base64')
}

describe('readDockerConfig', () => {
  let dir: TempDir
  let path: string
  beforeEach(async () => {
    dir = await makeTempDir()
    path = join(dir.path, 'config.json')
  })
  afterEach(() => dir.remove())

  async function read(config: object, server: string) {
    await writeFile(path, JSON.stringify(config))
    return readDockerConfig(path, server)
  }

  async function failureOf(asked: Promise<unknown>): Promise<string> {
    return asked.then(
      () => 'it did not fail',
      (error: unknown) => String(error),
    )
  }

  it.each([
    [HUB, 'docker.io'],
    ['https://index.docker.io/v2/', 'docker.io'],
    ['index.docker.io', 'docker.io'],
    ['docker.io', 'docker.io'],
    ['registry-1.docker.io', 'docker.io'],
    ['a.example', 'a.example'],
    ['A.Example', 'a.example'],
    ['a.example:443', 'a.example'],
    ['https://a.example', 'a.example'],
    ['https://a.example/', 'a.example'],
    ['https://a.example/v1/', 'a.example'],
    ['https://a.example/v2', 'a.example'],
    ['http://a.example:5000/v2/', 'a.example:5000'],
    ['localhost:5000', 'localhost:5000'],
    ['[::1]:5000', '[::1]:5000'],
  ])('knows the key %s for the upstream %s', async (key, upstream) => {
    const server = dockerServer(upstream)
    expect(await read({ auths: { [key]: { auth: AUTH } } }, server)).toEqual(LOGIN)
    const helper = { helper: 'ecr-login', server }
    expect(await read({ credHelpers: { [key]: 'ecr-login' } }, server)).toEqual(helper)
  })

  it.each([
    ['a.example:5000', 'a.example'],
    ['b.a.example', 'a.example'],
    ['a.example/team', 'a.example'],
    ['https://index.docker.io/v1/access-token', 'docker.io'],
    ['', 'a.example'],
  ])('takes the key %s for another server than the upstream %s', async (key, upstream) => {
    const asked = read({ auths: { [key]: { auth: AUTH } } }, dockerServer(upstream))
    expect(await failureOf(asked)).toContain('has no credentials for')
  })

  it('calls servers as Docker does', () => {
    expect(['docker.io', 'index.docker.io', 'a.example:5000'].map(dockerServer)).toEqual([
      HUB,
      HUB,
      'a.example:5000',
    ])
  })

  it('prefers the key as Docker writes it among several', async () => {
    const auths = { 'docker.io': { auth: base64('other:x') }, [HUB]: { auth: AUTH } }
    expect(await read({ auths }, HUB)).toEqual(LOGIN)
  })

  it.each([
    ['an identity token', { auth: base64('0000:'), identitytoken: 'canary' }, 'identityToken'],
    ['a registry token', { registrytoken: 'canary' }, 'token'],
  ])('finds %s', async (_, entry, kind) => {
    expect(await read({ auths: { 'a.example': entry } }, 'a.example')).toEqual({ [kind]: 'canary' })
  })

  it('finds a user name and a password that are not encoded', async () => {
    expect(await read({ auths: { 'a.example': LOGIN } }, 'a.example')).toEqual(LOGIN)
  })

  it('drops the NUL at the end that Docker has once written', async () => {
    const auths = { 'a.example': { auth: base64('user:canary:with:colons\0') } }
    expect(await read({ auths }, 'a.example')).toEqual(LOGIN)
  })

  it('asks the helper of the server, else the store, else the file', async () => {
    const auths = { 'a.example': { auth: AUTH }, 'b.example': {}, 'c.example': { auth: AUTH } }
    const credHelpers = { 'a.example': 'ecr-login', 'c.example': '' }
    const config = { auths, credHelpers, credsStore: 'desktop' }
    expect(await read(config, 'a.example')).toEqual({ helper: 'ecr-login', server: 'a.example' })
    expect(await read(config, 'b.example')).toEqual({ helper: 'desktop', server: 'b.example' })
    expect(await read(config, 'c.example')).toEqual(LOGIN)
    expect(await read({ auths, credsStore: '' }, 'a.example')).toEqual(LOGIN)
  })

  it.each([['../evil'], ['a/b'], ['a b'], ['docker-credential-desktop'], ['-x']])(
    'runs no helper that is called %s',
    async (credsStore) => {
      const failure = await failureOf(read({ credsStore }, 'a.example'))
      expect(failure).toContain(`${path} names a credential helper that cannot be one`)
    },
  )

  it('says what is there when what it looks for is not', async () => {
    const auths = { 'b.example': { auth: AUTH }, [HUB]: { auth: AUTH } }
    expect(await failureOf(read({ auths }, 'a.example'))).toBe(
      `Error: ${path} has no credentials for a.example: it has those of b.example, ${HUB}; ` +
        'run "docker login" for it',
    )
    expect(await failureOf(read({}, 'a.example'))).toContain('it has none at all')
  })

  it.each([
    ['nothing in it', {}, 'has no credentials in it'],
    ['a number', 1, 'has no credentials in it'],
    ['a user without a password', { username: 'canary' }, 'has no credentials in it'],
    ['no colon', { auth: base64('canary') }, 'an auth that is not the base64 of user:password'],
    ['no user', { auth: base64(':canary') }, 'an auth that is not the base64 of user:password'],
    ['a text that is no base64', { auth: '%%' }, 'an auth that is not the base64'],
  ])('names the entry that has %s', async (_, entry, reason) => {
    const failure = await failureOf(read({ auths: { 'a.example': entry } }, 'a.example'))
    expect(failure).toContain(`the entry "a.example" of ${path} has`)
    expect(failure).toContain(reason)
    expect(failure).not.toContain('canary')
  })

  it.each([
    ['{"auths": canary', 'is not JSON'],
    ['', 'is not JSON'],
    ['[]', 'is not a JSON object'],
    ['null', 'is not a JSON object'],
  ])('says that a file with %j is none, without repeating it', async (text, reason) => {
    await writeFile(path, text)
    const failure = await failureOf(readDockerConfig(path, 'a.example'))
    expect(failure).toBe(`Error: ${path} ${reason}`)
  })

  it('looks into the file each time', async () => {
    expect(await read({ auths: { 'a.example': { auth: AUTH } } }, 'a.example')).toEqual(LOGIN)
    const auths = { 'a.example': { auth: base64('user:new') } }
    expect(await read({ auths }, 'a.example')).toEqual({ username: 'user', password: 'new' })
    await rm(path)
    expect(await failureOf(readDockerConfig(path, 'a.example'))).toBe(
      `Error: cannot read ${path}: there is no such file`,
    )
  })
})
