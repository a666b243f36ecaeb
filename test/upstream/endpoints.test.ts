import { afterEach, describe, expect, it } from 'vitest'
import type { FakeRegistry } from '../support/fake-registry.ts'
import { buildImage } from '../support/images.ts'
import { failureOf, repo, tag } from './open-for.ts'
import { Opened } from './opened.ts'

const X = repo('library/x')
const IMAGE = buildImage({ layers: 1 })
const { signal } = new AbortController()

function sent(registry: FakeRegistry): readonly (string | undefined)[] {
  return registry.requests.map(({ headers }) => headers['authorization'])
}

describe('inOrder', () => {
  const opened = new Opened()
  afterEach(() => opened.close())

  async function startBoth(): Promise<{ first: FakeRegistry; second: FakeRegistry }> {
    const [first, second] = await Promise.all([opened.registry(), opened.registry()])
    for (const registry of [first, second]) registry.add('library/x', IMAGE, '1')
    return { first, second }
  }

  function openBoth(first: FakeRegistry, second: FakeRegistry): ReturnType<Opened['upstream']> {
    return opened.upstream(first, { endpoints: [new URL(first.url), new URL(second.url)] })
  }

  it('asks the first endpoint only, if that has it', async () => {
    const { first, second } = await startBoth()
    expect(await openBoth(first, second).getManifest(X, tag('1'), signal)).toBeDefined()
    expect(second.count()).toBe(0)
  })

  it.each([
    ['does not have it', { status: 404 }],
    ['refuses', { status: 403 }],
    ['wants credentials that we do not have', { status: 401 }],
    ['fails', { status: 503 }],
    ['limits us', { status: 429 }],
    ['is down', { hangUp: 'fin' }],
    ['misbehaves', { status: 200, body: '<html>', headers: { 'content-type': 'text/html' } }],
  ] as const)('asks the next endpoint when the first %s', async (_, action) => {
    const { first, second } = await startBoth()
    first.inject({ action })
    const upstream = openBoth(first, second)
    expect(await upstream.headManifest(X, tag('1'), signal)).toBeDefined()
    expect(await upstream.getManifest(X, tag('1'), signal)).toBeDefined()
    expect(await upstream.getBlob(X, IMAGE.config.digest, signal)).toBeDefined()
    expect(await upstream.probeBlob(X, IMAGE.config.digest, signal)).toBeDefined()
    expect(second.count()).toBe(4)
  })

  it('takes the last endpoint’s answer as final', async () => {
    const { first, second } = await startBoth()
    const upstream = openBoth(first, second)
    first.inject({ action: { status: 403 } })
    second.deleteTag('library/x', '1')
    expect(await upstream.getManifest(X, tag('1'), signal)).toBeUndefined()
    second.inject({ action: { status: 429 } })
    const failure = await failureOf(upstream.getManifest(X, tag('1'), signal))
    expect(failure.kind).toBe('rate-limited')
    expect(failure.message).toContain(second.host())
  })

  it('asks nobody else after the client has left', async () => {
    const { first, second } = await startBoth()
    first.inject({ action: { stall: true } })
    const client = new AbortController()
    const asked = openBoth(first, second).getManifest(X, tag('1'), client.signal)
    client.abort(new Error('the client left'))
    await expect(asked).rejects.toThrow('the client left')
    expect(second.count()).toBe(0)
  })

  it('gives each endpoint the token of its own token server, and the credentials no other', async () => {
    const users = { mirror: 'canary' }
    const auth = { kind: 'token', users, realm: 'own-port' } as const
    const [first, second] = await Promise.all([
      opened.registry({ auth }),
      opened.registry({ auth }),
    ])
    second.add('library/x', IMAGE, '1')
    const upstream = opened.upstream(first, {
      endpoints: [new URL(first.url), new URL(second.url)],
      credentials: () => Promise.resolve({ username: 'mirror', password: 'canary' }),
      tokenRealms: [first.host('token'), second.host('token')],
    })
    for (let round = 0; round < 2; round += 1) {
      expect(await upstream.getManifest(X, tag('1'), signal)).toBeDefined()
    }
    const tokens = [first, second].map((registry) => {
      const kinds = registry.requests.map(({ server, status }) => [server, status])
      const isFound = registry === second ? 200 : 404
      expect(kinds).toEqual([
        ['registry', 401],
        ['token', 200],
        ['registry', isFound],
        ['registry', isFound],
      ])
      const [, login, ...bearers] = sent(registry)
      expect(login).toMatch(/^Basic /)
      expect(new Set(bearers).size).toBe(1)
      return bearers[0]
    })
    expect(tokens[0]).not.toBe(tokens[1])
  })

  it('asks the next endpoint although the token server of the first is down', async () => {
    const first = await opened.registry({ auth: { kind: 'token', realm: 'own-port' } })
    const second = await opened.registry()
    second.add('library/x', IMAGE, '1')
    await first.stop('token')
    const upstream = opened.upstream(first, {
      endpoints: [new URL(first.url), new URL(second.url)],
      tokenRealms: [first.host('token')],
    })
    expect(await upstream.getManifest(X, tag('1'), signal)).toBeDefined()
  })

  it('never uses one endpoint’s token for another', async () => {
    const first = await opened.registry({ auth: { kind: 'token' } })
    const second = await opened.registry({ auth: { kind: 'token' } })
    second.add('library/x', IMAGE, '1')
    expect(await openBoth(first, second).getManifest(X, tag('1'), signal)).toBeDefined()
    const [, , token] = sent(first)
    expect(token).toMatch(/^Bearer /)
    expect(sent(second)).not.toContain(token)
  })
})
