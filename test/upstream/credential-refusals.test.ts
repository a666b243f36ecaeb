import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { afterEach, describe, expect, it } from 'vitest'
import type { Clock } from '../../src/core/ports.ts'
import type { Upstream } from '../../src/core/upstream.ts'
import type { Credentials, RegistryOptions } from '../../src/upstream/options.ts'
import { FakeHelper } from '../support/fake-helper.ts'
import type { FakeRegistry } from '../support/fake-registry.ts'
import { buildImage } from '../support/images.ts'
import { failureOf, hastyClock, repo, tag } from './open-for.ts'
import type { FakeOptions } from './opened.ts'
import { Opened } from './opened.ts'

const X = repo('library/x')
const IMAGE = buildImage({ layers: 1 })
const USERS = { AWS: 'canary-new' }
const MINUTE = 60_000
const { signal } = new AbortController()

function pull(upstream: Upstream): ReturnType<Upstream['getManifest']> {
  return upstream.getManifest(X, tag('1'), signal)
}

function statuses(registry: FakeRegistry): readonly (readonly [string, number])[] {
  return registry.requests.map(({ kind, status }) => [kind, status])
}

describe('credentials that are refused', () => {
  const opened = new Opened()
  afterEach(() => opened.close())

  /** A clock whose time the test moves, and whose sleepers wake by themselves. */
  let time = Date.UTC(2026, 0, 1)
  const clock: Clock = {
    now: () => time,
    sleep: (ms, stop) => hastyClock.sleep(ms, stop),
  }

  async function start(options: FakeOptions): Promise<FakeRegistry> {
    const registry = await opened.registry(options)
    registry.add('library/x', IMAGE, '1')
    return registry
  }

  async function startHelper(password: string): Promise<FakeHelper> {
    const helper = await FakeHelper.start()
    opened.add(helper)
    await helper.answer('AWS', password)
    return helper
  }

  function open(registry: FakeRegistry, read: RegistryOptions['credentials']): Upstream {
    return opened.upstream(registry, read && { credentials: read }, { clock })
  }

  const byHelper = () => Promise.resolve({ helper: 'fake', server: 'a.example' })

  describe.each([
    [
      'the registry',
      { kind: 'basic' },
      [
        ['manifest', 401],
        ['manifest', 401],
        ['manifest', 200],
      ],
    ],
    [
      'the token server',
      { kind: 'token' },
      [
        ['manifest', 401],
        ['token', 401],
        ['token', 200],
        ['manifest', 200],
      ],
    ],
  ] as const)('by %s', (_, { kind }, rotated) => {
    it('are asked for once more, from the helper', async () => {
      const helper = await startHelper('canary-old')
      const registry = await start({ auth: { kind, users: USERS } })
      const upstream = open(registry, byHelper)
      expect(await failureOf(pull(upstream))).toMatchObject({ kind: 'denied' })
      await helper.answer('AWS', USERS.AWS)
      time += MINUTE
      registry.reset()
      expect(await pull(upstream)).toBeDefined()
      // The challenge is known by now.
      expect(statuses(registry)).toEqual(rotated.slice(1))
      expect(await helper.calls()).toHaveLength(2)
    })

    it('are not sent again, and told to nobody, if the helper has no others', async () => {
      const helper = await startHelper('canary-old')
      const registry = await start({ auth: { kind, users: USERS } })
      const upstream = open(registry, byHelper)
      await failureOf(pull(upstream))
      time += MINUTE
      registry.reset()
      const failure = await failureOf(pull(upstream))
      expect(failure).toMatchObject({ kind: 'denied' })
      expect(failure.message).not.toMatch(/canary|AWS/)
      expect(registry.requests).toHaveLength(1)
      expect(await helper.calls()).toHaveLength(2)
    })

    it('are read once more, where they may have been rotated in the meantime', async () => {
      const registry = await start({ auth: { kind, users: USERS } })
      const passwords = ['canary-old', USERS.AWS]
      let reads = 0
      const upstream = open(registry, () => {
        // The first request is sent without; the file is replaced while the second is under way.
        const password = passwords[Math.min(Math.floor(reads / 2), 1)] ?? ''
        reads += 1
        return Promise.resolve({ username: 'AWS', password })
      })
      expect(await pull(upstream)).toBeDefined()
      expect(statuses(registry)).toEqual(rotated)
    })

    it('run the helper once for twenty requests at the same time', async () => {
      const helper = await startHelper(USERS.AWS)
      const registry = await start({ auth: { kind, users: USERS } })
      const upstream = open(registry, byHelper)
      const pulls = await Promise.all(Array.from({ length: 20 }, () => pull(upstream)))
      expect(pulls.every((manifest) => manifest !== undefined)).toBe(true)
      expect(await helper.calls()).toHaveLength(1)
    })
  })

  it('are told to nobody when the helper fails, whose reason is kept for the log', async () => {
    const helper = await startHelper('canary')
    await helper.runs('echo canary; echo canary >&2; exit 1')
    const registry = await start({ auth: { kind: 'basic', users: USERS } })
    const failure = await failureOf(pull(open(registry, byHelper)))
    expect(failure).toMatchObject({ kind: 'unavailable' })
    expect(failure.message).toContain('the configured credentials cannot be read; see the log')
    expect(failure.cause).toMatchObject({
      message: expect.stringContaining('docker-credential-fake gave no credentials for a.example'),
    })
    expect(`${failure.message} ${String(failure.cause)}`).not.toContain('canary')
    expect(registry.count()).toBe(0)
  })

  describe('that are an identity token', () => {
    const identity = (): Promise<Credentials> =>
      Promise.resolve({ identityToken: 'canary-identity' })

    /** A token server of the OAuth2 kind, and what it was asked. */
    async function startTokenServer(): Promise<{ host: string; asked: string[] }> {
      const asked: string[] = []
      const answer = async (request: IncomingMessage, response: ServerResponse) => {
        asked.push(`${request.method} ${request.url} ${await text(request)}`)
        response.end(JSON.stringify({ access_token: 'issued', refresh_token: 'other' }))
      }
      const server = createServer((request, response) => void answer(request, response))
      server.listen(0, '127.0.0.1')
      await once(server, 'listening')
      opened.add({
        async close() {
          server.closeAllConnections()
          server.close()
          await once(server, 'close')
        },
      })
      return { host: `127.0.0.1:${(server.address() as AddressInfo).port}`, asked }
    }

    it('are exchanged for a token, by POST (Azure)', async () => {
      const tokenServer = await startTokenServer()
      const challenge = `Bearer realm="http://${tokenServer.host}/oauth2/token",service="a.example"`
      const registry = await start({
        auth: {
          kind: 'custom',
          challenges: [challenge],
          accepts: (sent) => sent === 'Bearer issued',
        },
      })
      const options = { credentials: identity, tokenRealms: [tokenServer.host] }
      const upstream = opened.upstream(registry, options)
      expect(await pull(upstream)).toBeDefined()
      expect(tokenServer.asked).toEqual([
        'POST /oauth2/token grant_type=refresh_token&client_id=oci-mirror&service=a.example' +
          '&scope=repository%3Alibrary%2Fx%3Apull&refresh_token=canary-identity',
      ])
      expect(registry.requests.map(({ headers }) => headers['authorization'])).toEqual([
        undefined,
        'Bearer issued',
      ])
    })

    it('are given to no registry that wants a password', async () => {
      const registry = await start({ auth: { kind: 'basic', users: USERS } })
      const failure = await failureOf(pull(opened.upstream(registry, { credentials: identity })))
      expect(failure).toMatchObject({ kind: 'denied' })
      expect(failure.message).toContain('which only a token server takes')
      expect(failure.message).not.toContain('canary')
      expect(registry.requests.map(({ headers }) => headers['authorization'])).toEqual([undefined])
    })
  })
})
