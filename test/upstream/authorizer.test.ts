import { afterEach, describe, expect, it } from 'vitest'
import type { Clock } from '../../src/core/ports.ts'
import type { Upstream } from '../../src/core/upstream.ts'
import type { FakeRegistry } from '../support/fake-registry.ts'
import { buildImage } from '../support/images.ts'
import { failureOf, hastyClock, repo, tag } from './open-for.ts'
import type { FakeOptions } from './opened.ts'
import { Opened } from './opened.ts'

const IMAGE = buildImage({ layers: 1 })
const USERS = { mirror: 'canary-password' }
const LOGIN = { username: 'mirror', password: 'canary-password' }
const tokens = { kind: 'token' } as const
const STATIC = 'canary-static'
const CHALLENGE = 'Bearer realm="https://token.example/"'
const { signal } = new AbortController()

const sleep: Clock['sleep'] = (ms, stop) => hastyClock.sleep(ms, stop)

function pull(upstream: Upstream, name = 'a'): ReturnType<Upstream['getManifest']> {
  return upstream.getManifest(repo(name), tag('1'), signal)
}

function unreadable(): Promise<never> {
  return Promise.reject(new Error('canary: no such file'))
}

describe('authorization', () => {
  const opened = new Opened()
  afterEach(() => opened.close())

  async function start(options: FakeOptions): Promise<FakeRegistry> {
    const registry = await opened.registry(options)
    for (const name of ['a', 'b']) registry.add(name, IMAGE, '1')
    return registry
  }

  /** A registry with this challenge, and a token server that records what it is asked for. */
  async function challenging(scope: string) {
    const tokenServer = await start({ auth: tokens })
    const challenge = `Bearer realm="${tokenServer.url}/token",service="s",scope="${scope}"`
    const registry = await start({
      auth: {
        kind: 'custom',
        challenges: [challenge],
        accepts: (sent) => sent.startsWith('Bearer'),
      },
    })
    const upstream = opened.upstream(registry, { tokenRealms: [tokenServer.host()] })
    const scopes = () => tokenServer.requests.map(({ query }) => query.getAll('scope'))
    return { registry, upstream, scopes }
  }

  const asLogin = { credentials: () => Promise.resolve(LOGIN) }

  describe('with tokens', () => {
    it('asks anonymously, is challenged once, and from then on has the token first', async () => {
      const registry = await start({ auth: tokens })
      const upstream = opened.upstream(registry)
      for (const name of ['a', 'a', 'b']) expect(await pull(upstream, name)).toBeDefined()
      expect(registry.requests.map(({ kind, status }) => [kind, status])).toEqual([
        ['manifest', 401],
        ['token', 200],
        ['manifest', 200],
        ['manifest', 200],
        ['token', 200],
        ['manifest', 200],
      ])
    })

    it('asks for the service and for pulling this repository, once', async () => {
      const registry = await start({ auth: { ...tokens, service: 'registry.test' } })
      await pull(opened.upstream(registry))
      const [asked] = registry.requests.filter(({ kind }) => kind === 'token')
      expect([...(asked?.query ?? [])]).toEqual([
        ['service', 'registry.test'],
        ['scope', 'repository:a:pull'],
      ])
      expect(asked?.headers).not.toHaveProperty('authorization')
    })

    it('leaves out the service where the challenge does (nvcr.io)', async () => {
      const registry = await start({
        auth: { ...tokens, service: false, tokenField: 'access_token' },
      })
      expect(await pull(opened.upstream(registry))).toBeDefined()
      const [asked] = registry.requests.filter(({ kind }) => kind === 'token')
      expect(asked?.query.has('service')).toBe(false)
    })

    it('keeps scopes that are for no repository (public.ecr.aws)', async () => {
      const { upstream, scopes } = await challenging('aws')
      for (const name of ['a', 'b']) expect(await pull(upstream, name)).toBeDefined()
      expect(scopes()).toEqual([
        ['aws', 'repository:a:pull'],
        ['aws', 'repository:b:pull'],
      ])
    })

    it('remembers that a registry calls a repository by another name, for that repository', async () => {
      const { registry, upstream, scopes } = await challenging('repository:project/a:pull')
      expect(await pull(upstream, 'a')).toBeDefined()
      expect(await pull(upstream, 'a')).toBeDefined()
      expect(await pull(upstream, 'b')).toBeDefined()
      expect(scopes()).toEqual([
        ['repository:project/a:pull', 'repository:a:pull'],
        ['repository:b:pull'],
      ])
      expect(registry.count()).toBe(4)
    })

    it('fetches one token for many requests at once', async () => {
      const registry = await start({ auth: tokens })
      const upstream = opened.upstream(registry)
      await pull(upstream)
      registry.revokeTokens()
      registry.reset()
      await Promise.all(Array.from({ length: 5 }, () => pull(upstream)))
      expect(registry.count({ kind: 'token' })).toBe(1)
    })

    it('sends the credentials to the token server, and nothing but the token to the registry', async () => {
      const registry = await start({ auth: { ...tokens, users: USERS } })
      await pull(opened.upstream(registry, asLogin))
      const sent = registry.requests.map(({ kind, headers }) => [
        kind,
        headers['authorization']?.split(' ')[0],
      ])
      expect(sent).toEqual([
        ['manifest', undefined],
        ['token', 'Basic'],
        ['manifest', 'Bearer'],
      ])
    })

    it('reads the credentials anew for each use', async () => {
      const registry = await start({ auth: { ...tokens, users: USERS } })
      let password = 'outdated'
      const credentials = () => Promise.resolve({ username: 'mirror', password })
      const upstream = opened.upstream(registry, { credentials })
      expect(await failureOf(pull(upstream))).toMatchObject({ kind: 'denied' })
      password = LOGIN.password
      expect(await pull(upstream)).toBeDefined()
    })

    it('replaces a refused token once', async () => {
      const registry = await start({ auth: tokens })
      const upstream = opened.upstream(registry)
      await pull(upstream)
      registry.revokeTokens()
      registry.reset()
      expect(await pull(upstream)).toBeDefined()
      expect(registry.count({ kind: 'token' })).toBe(1)
    })

    it('gives up when the new token is refused too', async () => {
      const registry = await start({ auth: tokens })
      const headers = { 'www-authenticate': `Bearer realm="${registry.url}/token"` }
      registry.inject({ kind: 'manifest', action: { status: 401, headers } })
      const failure = await failureOf(pull(opened.upstream(registry)))
      expect(failure.kind).toBe('denied')
      expect(registry.count({ kind: 'token' })).toBe(2)
      expect(registry.count({ kind: 'manifest' })).toBe(3)
    })

    it.each([
      ['tells no expiry', { tellsExpiry: false }],
      ['says that it expires at once', { expiresIn: 1 }],
    ])('uses a token that %s for a minute, less what renewing takes', async (_, told) => {
      let time = Date.UTC(2026, 0, 1)
      const clock = { now: () => time, sleep }
      const registry = await start({ auth: { ...tokens, ...told }, now: () => 0 })
      const upstream = opened.upstream(registry, {}, { clock })
      await pull(upstream)
      time += 50_000
      await pull(upstream)
      expect(registry.count({ kind: 'token' })).toBe(1)
      time += 2_000
      await pull(upstream)
      expect(registry.count({ kind: 'token' })).toBe(2)
      expect(registry.count({ kind: 'manifest', status: 401 })).toBe(1)
    })

    it('believes in no token for longer than an hour', async () => {
      let time = Date.UTC(2026, 0, 1)
      const clock = { now: () => time, sleep }
      const registry = await start({ auth: { ...tokens, expiresIn: 1e9 } })
      const upstream = opened.upstream(registry, {}, { clock })
      await pull(upstream)
      time += 3_600_000
      await pull(upstream)
      expect(registry.count({ kind: 'token' })).toBe(2)
    })

    it.each([
      [{ status: 401 }, 'denied'],
      [{ status: 403 }, 'denied'],
      [{ status: 429 }, 'rate-limited'],
      [{ status: 503 }, 'unavailable'],
      [{ hangUp: 'fin' }, 'unavailable'],
      [{ status: 302, headers: { location: '/elsewhere' } }, 'misbehaved'],
      [{ body: 'no json' }, 'misbehaved'],
      [{ body: 'null' }, 'misbehaved'],
      [{ body: '{"token":""}' }, 'misbehaved'],
      [{ body: '{"token":"a\\r\\nx-evil: 1"}' }, 'misbehaved'],
      [{ endless: true }, 'misbehaved'],
    ] as const)('maps the token answer %j to %s', async (action, kind) => {
      const registry = await start({ auth: tokens })
      registry.inject({ kind: 'token', action })
      const failure = await failureOf(pull(opened.upstream(registry)))
      expect(failure.kind).toBe(kind)
      expect(failure.message).toContain('/token: ')
      expect(failure.message).not.toContain('scope')
    })

    it('sends a static token as it is, and asks no token server if that is refused', async () => {
      const accepts = (sent: string): boolean => sent === `Bearer ${STATIC}`
      const registry = await start({ auth: { kind: 'custom', challenges: [CHALLENGE], accepts } })
      const withToken = (token: string) =>
        opened.upstream(registry, { credentials: () => Promise.resolve({ token }) })
      expect(await pull(withToken(STATIC))).toBeDefined()
      expect(await failureOf(pull(withToken('wrong')))).toMatchObject({ kind: 'denied' })
      expect(registry.count()).toBe(2)
    })
  })

  describe('with passwords', () => {
    it('sends Basic once it is asked for, and at once from then on', async () => {
      const registry = await start({ auth: { kind: 'basic', users: USERS } })
      const upstream = opened.upstream(registry, asLogin)
      for (const name of ['a', 'b']) expect(await pull(upstream, name)).toBeDefined()
      expect(registry.requests.map(({ status }) => status)).toEqual([401, 200, 200])
    })

    it('does not repeat a password that is refused', async () => {
      const registry = await start({ auth: { kind: 'basic', users: { mirror: 'another' } } })
      expect(await failureOf(pull(opened.upstream(registry, asLogin)))).toMatchObject({
        kind: 'denied',
      })
      expect(registry.count()).toBe(2)
    })

    it('is denied without credentials', async () => {
      const registry = await start({ auth: { kind: 'basic', users: USERS } })
      expect(await failureOf(pull(opened.upstream(registry)))).toMatchObject({ kind: 'denied' })
      expect(registry.count()).toBe(1)
    })

    it('asks anonymously when an expired token is answered with Basic (Harbor)', async () => {
      const registry = await start({ auth: { ...tokens, users: USERS } })
      const upstream = opened.upstream(registry, asLogin)
      await pull(upstream)
      registry.reset()
      const headers = { 'www-authenticate': 'Basic realm="harbor"' }
      registry.inject({ kind: 'manifest', times: 1, action: { status: 401, headers } })
      expect(await pull(upstream)).toBeDefined()
      const sent = registry.requests.map(({ kind, headers: { authorization } }) => [
        kind,
        authorization?.split(' ')[0],
      ])
      expect(sent).toEqual([
        ['manifest', 'Bearer'],
        ['manifest', undefined],
        ['token', 'Basic'],
        ['manifest', 'Bearer'],
      ])
    })
  })

  describe('with a token server elsewhere', () => {
    const elsewhere = { ...tokens, realm: 'own-port', users: USERS, anonymous: true } as const

    it('keeps the credentials, and says which option would send them', async () => {
      const registry = await start({ auth: elsewhere })
      const failure = await failureOf(pull(opened.upstream(registry, asLogin)))
      expect(failure.kind).toBe('misbehaved')
      expect(failure.message).toContain(registry.host('token'))
      expect(failure.message).toContain('`tokenRealms`')
      expect(registry.count({ server: 'token' })).toBe(0)
    })

    it('sends the credentials where the operator says', async () => {
      const registry = await start({ auth: elsewhere })
      const upstream = opened.upstream(registry, {
        ...asLogin,
        tokenRealms: [registry.host('token')],
      })
      expect(await pull(upstream)).toBeDefined()
      const [asked] = registry.requests.filter(({ server }) => server === 'token')
      expect(asked?.headers['authorization']).toMatch(/^Basic /)
    })

    it('does not dial a loopback token server that only the upstream names', async () => {
      const registry = await start({ auth: elsewhere })
      const failure = await failureOf(pull(opened.upstream(registry)))
      expect(failure.kind).toBe('misbehaved')
      expect(failure.message).toContain('not public')
      expect(registry.count({ server: 'token' })).toBe(0)
    })

    it.each([
      ['http://user:canary@127.0.0.1:1/token'],
      ['ftp://127.0.0.1/token'],
      ['/token'],
      ['http://169.254.169.254/latest/meta-data'],
      ['http://2130706433/token'],
      ['http://[::ffff:127.0.0.1]/token'],
      ['http://localhost:1/token'],
    ])('asks no token server at %s', async (url) => {
      const registry = await start({ auth: { ...tokens, realm: { url } } })
      const failure = await failureOf(pull(opened.upstream(registry)))
      expect(failure.kind).toBe('misbehaved')
      expect(failure.message).not.toContain('canary')
    })
  })

  it('holds no connection after a challenge that it cannot answer', async () => {
    const registry = await start({ auth: tokens })
    const fault = registry.inject({ kind: 'token', action: { status: 403 } })
    const upstream = opened.upstream(registry, { connections: 1 })
    expect(await failureOf(pull(upstream))).toMatchObject({ kind: 'denied' })
    fault.remove()
    expect(await pull(upstream)).toBeDefined()
  })

  it('is unavailable while the credentials cannot be read, and says nothing of them', async () => {
    const registry = await start({ auth: tokens })
    const failure = await failureOf(pull(opened.upstream(registry, { credentials: unreadable })))
    expect(failure.kind).toBe('unavailable')
    expect(failure.message).not.toContain('canary')
    expect(registry.count()).toBe(0)
  })
})
