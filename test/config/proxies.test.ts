import { describe, expect, it } from 'vitest'
import { readProxies } from '../../src/config/proxies.ts'
import { load, problemsOf } from './load.ts'

type Environment = Readonly<Record<string, string>>

/** What http:// and https:// go through. */
function ways(env: Environment): readonly [http: string | undefined, https: string | undefined] {
  const { proxies, problems } = readProxies(env)
  expect(problems).toEqual([])
  return [proxies.http?.href, proxies.https?.href]
}

describe('readProxies', () => {
  it.each<readonly [Environment, http: string | undefined, https: string | undefined]>([
    [{}, undefined, undefined],
    [{ http_proxy: '', HTTPS_PROXY: '', all_proxy: '' }, undefined, undefined],
    [{ http_proxy: 'http://p:1' }, 'http://p:1/', undefined],
    [{ HTTP_PROXY: 'http://p:1' }, 'http://p:1/', undefined],
    [{ https_proxy: 'http://p:1' }, undefined, 'http://p:1/'],
    [{ HTTPS_PROXY: 'http://p:1' }, undefined, 'http://p:1/'],
    [{ http_proxy: 'http://low:1', HTTP_PROXY: 'http://up:1' }, 'http://low:1/', undefined],
    [{ http_proxy: '', HTTP_PROXY: 'http://up:1' }, 'http://up:1/', undefined],
    [{ ALL_PROXY: 'http://p:1' }, 'http://p:1/', 'http://p:1/'],
    [{ all_proxy: 'http://low:1', ALL_PROXY: 'http://up:1' }, 'http://low:1/', 'http://low:1/'],
    [{ all_proxy: 'http://all:1', HTTPS_PROXY: 'http://s:1' }, 'http://all:1/', 'http://s:1/'],
    [{ http_proxy: 'p:1' }, 'http://p:1/', undefined],
    [{ http_proxy: 'p' }, 'http://p/', undefined],
    [{ https_proxy: 'https://p:8443/' }, undefined, 'https://p:8443/'],
    [{ https_proxy: 'HTTP://[::1]:3128' }, undefined, 'http://[::1]:3128/'],
    [{ http_proxy: 'u:p%40ss@p:1' }, 'http://u:p%40ss@p:1/', undefined],
  ])('makes of %j the proxies %s and %s', (env, http, https) => {
    expect(ways(env)).toEqual([http, https])
  })

  it.each([
    [{ NO_PROXY: 'a.example,.b.example  10.0.0.0/8,' }, ['a.example', '.b.example', '10.0.0.0/8']],
    [{ no_proxy: 'low', NO_PROXY: 'up' }, ['low']],
    [{ no_proxy: '', NO_PROXY: 'up' }, ['up']],
    [{}, []],
  ])('reads the exceptions of %j', (env, entries) => {
    expect(readProxies(env).proxies.bypass).toEqual(entries)
  })

  it.each([
    ['ftp://user:canary@p:1'],
    ['http://user:canary@'],
    ['http://user:canary@p:99999'],
    ['http://user:canary@p:1/path'],
    ['http://user:canary@p:1/?query'],
    ['http://user:canary%@p:1'],
    ['not a canary'],
  ])('refuses %s by the name of its variable, without repeating it', (value) => {
    const { proxies, problems } = readProxies({ HTTPS_PROXY: value })
    expect(proxies.https).toBeUndefined()
    expect(problems).toEqual([
      'HTTPS_PROXY: expected the URL of an HTTP proxy such as "http://proxy.example:3128"',
    ])
  })

  it('names a wrong variable once, although it is for both', () => {
    expect(readProxies({ all_proxy: 'socks5://p:1080' }).problems).toEqual([
      'all_proxy: proxies that speak SOCKS are not supported: name an HTTP proxy, or unset it',
    ])
  })

  it('does not mind a wrong variable that another one goes before', () => {
    const url = 'http://p:1'
    const env = { ALL_PROXY: 'socks5h://p:1080', http_proxy: url, https_proxy: url }
    expect(ways(env)).toEqual(['http://p:1/', 'http://p:1/'])
  })
})

describe('a configuration with proxies', () => {
  it('has them for every upstream', async () => {
    const upstreams = { 'a.example': {}, 'b.example': {} }
    const env = { https_proxy: 'http://p:1', no_proxy: 'b.example' }
    const { config } = await load({ upstreams }, { env })
    for (const { proxies } of config.upstreams.values()) {
      expect(proxies.https?.href).toBe('http://p:1/')
      expect(proxies.bypass).toEqual(['b.example'])
    }
  })

  it('is refused with all its problems at once', async () => {
    const env = { http_proxy: 'ftp://p', all_proxy: 'socks5://p' }
    const problems = await problemsOf({ log: { level: 'loud' } }, { env })
    expect(problems.map((line) => line.split(':')[0])).toEqual([
      'http_proxy',
      'all_proxy',
      'log.level',
    ])
  })
})
