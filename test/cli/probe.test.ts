import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Hop } from '../../src/probe/hop.ts'
import { FakeRegistry } from '../support/fake-registry.ts'
import { FakeServer } from '../support/fake-server.ts'
import { buildImage, buildIndex } from '../support/images.ts'
import type { TempDir } from '../support/temp-dir.ts'
import { makeTempDir } from '../support/temp-dir.ts'
import { TestMirror } from '../support/test-mirror.ts'
import { runHere } from './fake-terminal.ts'

type FakeOptions = NonNullable<Parameters<typeof FakeRegistry.start>[0]>

const ARM = buildImage({ seed: 'app', platform: { os: 'linux', architecture: 'arm64' } })
const AMD = buildImage({ seed: 'app' })
const APP = buildIndex([ARM, AMD])
const PASSWORD = 'hunter2-secret'
/** Where no mirror listens: nothing ever does on port 1. */
const NOBODY = { listen: '127.0.0.1:1' }

let dir: TempDir
let opened: FakeRegistry[]

beforeEach(async () => {
  dir = await makeTempDir()
  opened = []
})
afterEach(async () => {
  // The far end hears of a closed connection a moment later.
  await expect
    .poll(() => opened.map((registry) => registry.openSockets()))
    .toEqual(opened.map(() => 0))
  await Promise.all(opened.map((registry) => registry.close()))
  await dir.remove()
})

async function start(options: FakeOptions = {}): Promise<FakeRegistry> {
  const registry = await FakeRegistry.start(options)
  registry.add('team/app', APP, '1')
  opened.push(registry)
  return registry
}

async function run(upstream: object, image = 'r.example/team/app:1', args: readonly string[] = []) {
  const config = {
    server: NOBODY,
    defaultUpstream: 'r.example',
    upstreams: { 'r.example': upstream },
  }
  await writeFile(join(dir.path, 'mirror.config.json'), JSON.stringify(config))
  const outcome = await runHere(['probe', image, ...args], dir.path)
  expect(outcome.stdout + outcome.stderr).not.toContain(PASSWORD)
  return outcome
}

/** The hops of a probe that was asked for JSON, and whether it says that all is well. */
async function hopsOf(upstream: object, image?: string, args: readonly string[] = []) {
  const { code, stdout, stderr } = await run(upstream, image, ['-o', 'json', ...args])
  expect(stderr).toBe('')
  const { ok, hops } = JSON.parse(stdout) as { readonly ok: boolean; readonly hops: readonly Hop[] }
  expect(code).toBe(ok ? 0 : 1)
  return { ok, hops, byName: new Map(hops.map((hop) => [hop.name, hop])) }
}

/** The hop that failed, which has to be the last one. */
async function failureOf(upstream: object, image?: string): Promise<Hop> {
  const { ok, hops } = await hopsOf(upstream, image)
  const failed = hops.filter(({ outcome }) => outcome === 'failed')
  expect({ ok, failed }).toEqual({ ok: false, failed: hops.slice(-1) })
  const [hop] = failed
  if (hop === undefined) throw new Error('nothing failed')
  expect(hop.advice).not.toBe('')
  return hop
}

describe('probe, when all is well', () => {
  it('shows each hop, with its time and its requests', async () => {
    const registry = await start({
      auth: { kind: 'token', users: { robot: PASSWORD }, realm: 'own-port' },
      redirect: { to: 'cdn' },
    })
    const { host, hostname } = new URL(registry.url)
    registry.inject({
      kind: 'manifest',
      action: {
        headers: { 'ratelimit-limit': '100;w=21600', 'ratelimit-remaining': '97;w=21600' },
      },
    })
    const { code, stdout, stderr } = await run({
      url: registry.url,
      auth: { username: 'robot', password: PASSWORD },
      access: 'shared',
      tokenRealms: [registry.host('token')],
      redirectHosts: [registry.host('cdn')],
    })
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    const layer = AMD.layers[0]
    const index = APP.manifest
    const indent = ' '.repeat(29)
    expect(stdout.replaceAll(/(?<=^.{18}) *\d+ ms/gm, 'T').replaceAll(/, \d+ ms$/gm, ', T')).toBe(
      [
        'ok    address                r.example/team/app:1',
        `ok    upstream               r.example at ${registry.url}, with credentials`,
        `ok    dns         T  ${hostname}: an address, nothing to look up`,
        `ok    connect     T  ${host}, without TLS`,
        `ok    token       T  ${registry.host('token')} gives one`,
        `${indent}GET ${registry.host('token')}: 200, T`,
        `ok    manifest    T  OCI index, ${index.size} bytes, ${index.digest}`,
        `${indent}HEAD ${host}: 401, T`,
        `${indent}HEAD ${host}: 200, T`,
        `ok    platform    T  linux/amd64 of 2, ${AMD.manifest.size} bytes, ${AMD.manifest.digest}`,
        `${indent}GET ${host}: 200, T`,
        `${indent}GET ${host}: 200, T`,
        `ok    blob        T  one of 3, ${layer?.size} bytes, ${layer?.digest}, from ${registry.host('cdn')}`,
        `${indent}GET ${host}: 307, T`,
        `${indent}GET ${registry.host('cdn')}: 206, T`,
        'ok    rate limit             97 of 100 pulls left per 6h',
        '-     mirror                 none is ready at http://127.0.0.1:1: nothing listens there',
        '',
      ].join('\n'),
    )
  })

  it('asks for no more than it has to', async () => {
    const registry = await start()
    const { hops } = await hopsOf({ url: registry.url })
    expect(hops.map(({ name, outcome }) => `${name}: ${outcome}`)).toEqual([
      'address: ok',
      'upstream: ok',
      'dns: ok',
      'connect: ok',
      'token: skipped',
      'manifest: ok',
      'platform: ok',
      'blob: ok',
      'rate limit: skipped',
      'mirror: skipped',
    ])
    expect(registry.requests.map(({ method, kind }) => `${method} ${kind}`)).toEqual([
      'HEAD manifest',
      'GET manifest',
      'GET manifest',
      'GET blob',
    ])
    expect(registry.bytesSent('blob')).toBe(1)
  })

  it.each([
    ['a digest', `r.example/team/app@${AMD.manifest.digest}`],
    ['a tag and a digest', `r.example/team/app:gone@${AMD.manifest.digest}`],
    ['an alias', 'short/team/app:1'],
    ['no registry, which means the default one', 'team/app:1'],
  ])('takes %s', async (_title, image) => {
    const registry = await start()
    expect(await hopsOf({ url: registry.url, aliases: ['short'] }, image)).toMatchObject({
      ok: true,
    })
  })

  it('finds an image for one platform, an artifact without blobs and an index of nothing', async () => {
    const registry = await start()
    registry.add('team/app', AMD, 'one')
    const one = await hopsOf({ url: registry.url }, 'r.example/team/app:one')
    expect(one.byName.get('platform')?.text).toBe('it is for one platform, or for none')
    registry.add('team/app', buildIndex([]), 'none')
    const none = await hopsOf({ url: registry.url }, 'r.example/team/app:none')
    expect(none.byName.get('platform')?.text).toBe('an index that names nothing')
    expect(none.byName.get('blob')).toMatchObject({ outcome: 'skipped', text: 'it names none' })
    expect([one.ok, none.ok]).toEqual([true, true])
  })

  it('shows the certificate of a registry that it trusts', async () => {
    const registry = await start({ tls: true })
    await writeFile(join(dir.path, 'ca.pem'), registry.ca ?? '')
    const { byName } = await hopsOf({ url: registry.url, ca: './ca.pem' })
    expect(byName.get('connect')?.text).toMatch(
      /^127\.0\.0\.1:\d+, TLSv1\.3, certificate by 127\.0\.0\.1 until 20\d\d-\d\d-\d\d$/,
    )
  })

  it('goes on to the next endpoint, and warns of the one that is down', async () => {
    const down = await start()
    const up = await start()
    await down.stop()
    const { ok, hops } = await hopsOf({ endpoints: [down.url, up.url] })
    expect(ok).toBe(true)
    const reached = hops.filter(({ name }) => name === 'connect')
    expect(reached.map(({ outcome }) => outcome)).toEqual(['warned', 'ok'])
    expect(reached[0]?.text).toBe(`connect to ${down.url}: connection refused`)
  })

  it('warns of a token server that gives none, when another endpoint can do without', async () => {
    const closed = await start({ auth: { kind: 'token', users: { robot: PASSWORD } } })
    const open = await start()
    const { ok, byName } = await hopsOf({ endpoints: [closed.url, open.url] })
    expect(ok).toBe(true)
    expect(byName.get('token')).toMatchObject({
      outcome: 'warned',
      text: `${closed.host()} gives none: 401; another endpoint was asked instead`,
      advice: expect.stringContaining('`endpoints`'),
    })
  })

  it('warns when the last pull is spent', async () => {
    const registry = await start()
    const headers = { 'ratelimit-limit': '100', 'ratelimit-remaining': '0' }
    registry.inject({ kind: 'manifest', action: { headers } })
    const { ok, byName } = await hopsOf({ url: registry.url })
    expect(ok).toBe(true)
    expect(byName.get('rate limit')).toMatchObject({
      outcome: 'warned',
      text: '0 of 100 pulls left',
      advice: expect.stringContaining('`auth`'),
    })
  })
})

describe('probe, when a hop fails', () => {
  it.each([
    ['other.example/x', 'it mirrors r.example', /^name a registry as `upstreams` has it, or add/],
    ['r.example/UPPER', '"UPPER" is not a repository name', /^write \[REGISTRY\//],
    ['r.example/x:-', '"-" is not a tag', /^write /],
    ['r.example/x@sha256:12', '"sha256:12" is not a digest', /^write /],
    ['https://r.example/x', 'without a URL scheme', /^write /],
    ['r.example/x/blobs/..', '"r.example/x/blobs/.." is no name of an image', /^write /],
    ['r.example/a?b', '"r.example/a?b" is no name of an image', /^write /],
    ['r.example//x', 'is no name', /^write /],
    ['r.example/x:', '"" is not a tag', /^write /],
    ['', '"" is no name of an image', /^write /],
  ])('says what is wrong with %j before it asks anyone', async (image, text, advice) => {
    const registry = await start()
    const hop = await failureOf({ url: registry.url }, image)
    expect(hop.name).toBe('address')
    expect(hop.text).toContain(text)
    expect(hop.advice).toMatch(advice)
    expect(registry.socketsOpened()).toBe(0)
  })

  it('names a host that does not exist', async () => {
    const hop = await failureOf({ url: 'https://registry.invalid' })
    expect(hop.name).toBe('dns')
    expect(hop.text).toMatch(/^registry\.invalid: (?:there is no such host|the resolver gives no)/)
    expect(hop.advice).toContain("the `url` of r.example, or this machine's resolver")
  })

  it('names an address where nothing listens', async () => {
    const registry = await start()
    await registry.stop()
    const hop = await failureOf({ url: registry.url })
    expect(hop).toMatchObject({
      name: 'connect',
      text: `connect to ${registry.url}: connection refused`,
      advice: expect.stringContaining('see that it is up'),
    })
  })

  it('names the setting for a certificate that is not trusted', async () => {
    const registry = await start({ tls: true })
    const hop = await failureOf({ url: registry.url })
    expect(hop.name).toBe('connect')
    expect(hop.text).toMatch(/its certificate is not trusted \(\w+\); set `ca` if it is your own$/)
  })

  it('tells a token server that refuses from a registry that does', async () => {
    const users = { robot: 'other' }
    const strict = await start({ auth: { kind: 'token', users } })
    const auth = { auth: { username: 'robot', password: PASSWORD }, access: 'shared' }
    const login = await failureOf({ url: strict.url, ...auth })
    expect(login).toMatchObject({
      name: 'token',
      advice: expect.stringContaining('check the `auth`'),
    })
    expect(login.text).toMatch(/\/token: answered 401, the token server refuses the credentials$/)
    const anonymous = await failureOf({ url: strict.url })
    expect(anonymous).toMatchObject({
      name: 'token',
      advice: expect.stringMatching(/^check the name/),
    })
    const closed = await start({ auth: { kind: 'token', allow: () => false } })
    expect(await failureOf({ url: closed.url })).toMatchObject({
      name: 'manifest',
      text: expect.stringContaining('access is refused'),
    })
    const basic = await start({ auth: { kind: 'basic', users } })
    expect(await failureOf({ url: basic.url, ...auth })).toMatchObject({
      name: 'manifest',
      advice: expect.stringContaining('check the `auth` of r.example'),
    })
  })

  it('sends no credentials where the challenge must not have them', async () => {
    const realm = { url: 'https://elsewhere.example/token' }
    const registry = await start({ auth: { kind: 'token', users: { robot: PASSWORD }, realm } })
    const auth = { auth: { username: 'robot', password: PASSWORD }, access: 'shared' }
    const hop = await failureOf({ url: registry.url, ...auth })
    expect(hop.name).toBe('token')
    expect(hop.text).toContain("list 'elsewhere.example' in `tokenRealms`")
    expect(hop.advice).toMatch(/^do that if you trust the host/)
    expect(registry.requests.some(({ headers }) => 'authorization' in headers)).toBe(false)
  })

  it.each([
    [
      'a tag that is not there',
      { status: 404 },
      'says that team/app has no tag 1',
      /check the name and/,
    ],
    [
      'a page instead of a registry',
      { body: '<html>', headers: { 'content-type': 'text/html' } },
      'HTML',
      /captive portal/,
    ],
    [
      'too many requests',
      { status: 429, headers: { 'retry-after': '120' } },
      '429',
      /^wait 120 s, or give r\.example an `auth`/,
    ],
    ['a registry that is broken', { status: 500 }, 'answered 500', /in trouble/],
  ] as const)('says what to do about %s', async (_title, action, text, advice) => {
    const registry = await start()
    registry.inject({ kind: 'manifest', action })
    const hop = await failureOf({ url: registry.url })
    expect(hop.name).toBe('manifest')
    expect(hop.text).toContain(text)
    expect(hop.advice).toMatch(advice)
  })

  it('follows no blob to an address that is not public', async () => {
    const registry = await start({ redirect: { to: 'cdn' } })
    const hop = await failureOf({ url: registry.url })
    expect(hop.name).toBe('blob')
    expect(hop.text).toMatch(
      /its address 127\.0\.0\.1 is not public; .* list the host in `redirectHosts`$/,
    )
    expect(hop.advice).toMatch(/^do that if you trust the host/)
    expect(registry.count({ server: 'cdn' })).toBe(0)
  })

  it('names the part that a registry lacks', async () => {
    const registry = await start()
    registry.delete('team/app', AMD.layers[0]?.digest ?? AMD.config.digest)
    expect(await failureOf({ url: registry.url })).toMatchObject({ name: 'blob' })
    registry.delete('team/app', AMD.manifest.digest)
    const hop = await failureOf({ url: registry.url })
    expect(hop).toMatchObject({
      name: 'platform',
      text: `r.example says that team/app has no ${AMD.manifest.digest}`,
      advice: expect.stringContaining('push it again'),
    })
  })

  it('shows what a registry says in one line, whatever it is', async () => {
    const registry = await start({
      auth: { kind: 'custom', challenges: ['Bearer realm="\u009b31mx"'] },
    })
    const { code, stdout } = await run({ url: registry.url })
    expect(code).toBe(1)
    expect(stdout).toMatch(/^FAIL {2}token /m)
    expect(stdout).not.toMatch(/[^\n -~]/)
  })
})

describe('probe, with a running mirror', () => {
  it('shows what it does for the same image', async () => {
    const registry = await start()
    await using mirror = await TestMirror.start({ upstreams: { 'r.example': { registry } } })
    const cold = await hopsOf({ url: registry.url }, undefined, ['--server', `${mirror.url}/`])
    expect(cold.byName.get('mirror')).toMatchObject({
      outcome: 'ok',
      text: `${mirror.url}: oci-mirror; fwd=miss; stored`,
    })
    const warm = await hopsOf({ url: registry.url }, undefined, ['--server', mirror.url])
    expect(warm.byName.get('mirror')?.text).toBe(`${mirror.url}: oci-mirror; hit`)
    registry.add('team/app', AMD, '1')
    const moved = await hopsOf({ url: registry.url }, undefined, ['--server', mirror.url])
    expect(moved).toMatchObject({ ok: true })
    expect(moved.byName.get('mirror')).toMatchObject({
      outcome: 'warned',
      text: `${mirror.url}: oci-mirror; hit, but it has ${APP.manifest.digest}`,
    })
  })

  it.each([
    ['upstream-denied', 'warned', ', last confirmed 90000 s ago'],
    // What `tags.staleWhileRevalidate` asks for.
    ['revalidating', 'ok', ''],
  ])('judges a stale answer by its reason: %s', async (detail, outcome, since) => {
    const registry = await start()
    const status = `oci-mirror; fwd=stale; detail=${detail}`
    const digest = APP.manifest.digest
    const headers = { 'cache-status': status, age: '90000', 'docker-content-digest': digest }
    const stale = await FakeServer.start(async (_, response) => {
      response.writeHead(200, headers).end()
    }, undefined)
    try {
      const { ok, byName } = await hopsOf({ url: registry.url }, undefined, [
        '--server',
        stale.origin,
      ])
      expect(ok).toBe(true)
      const text = `${stale.origin}: ${status}${since}`
      expect(byName.get('mirror')).toMatchObject({ outcome, text })
    } finally {
      await stale.stop()
    }
  })

  it('adds the base path to a URL that has none', async () => {
    const registry = await start()
    const upstreams = { 'r.example': { registry } }
    await using mirror = await TestMirror.start({ upstreams, basePath: '/base' })
    const config = {
      server: { ...NOBODY, basePath: '/base' },
      upstreams: { 'r.example': { url: registry.url } },
    }
    await writeFile(join(dir.path, 'mirror.config.json'), JSON.stringify(config))
    for (const url of [mirror.url, `${mirror.url}/base`]) {
      const args = ['probe', 'r.example/team/app:1', '--server', url]
      const { code, stdout } = await runHere(args, dir.path)
      expect(stdout).toContain(`  ${mirror.url}/base: oci-mirror; `)
      expect(code).toBe(0)
    }
  })

  it('asks the one that the configuration describes, if it is ready', async () => {
    const registry = await start()
    await using mirror = await TestMirror.start({ upstreams: { 'r.example': { registry } } })
    const config = {
      server: { listen: `127.0.0.1:${mirror.port}` },
      defaultUpstream: 'r.example',
      upstreams: { 'r.example': { url: registry.url } },
    }
    await writeFile(join(dir.path, 'mirror.config.json'), JSON.stringify(config))
    const { code, stdout } = await runHere(['probe', 'team/app:1'], dir.path)
    expect(code).toBe(0)
    expect(stdout).toMatch(new RegExp(`^ok {4}mirror +\\d+ ms {2}${mirror.url}: oci-mirror; `, 'm'))
  })

  it('fails with the reason that it gives', async () => {
    const registry = await start()
    await using mirror = await TestMirror.start({ upstreams: { 'another.example': { registry } } })
    const { ok, byName } = await hopsOf({ url: registry.url }, undefined, ['--server', mirror.url])
    expect(ok).toBe(false)
    expect(byName.get('mirror')).toMatchObject({
      outcome: 'failed',
      text: `${mirror.url} answers 404: this mirror has no upstream "r.example"; it mirrors another.example`,
    })
  })

  it('fails if the one that was named is none, or is not there', async () => {
    const registry = await start()
    registry.add('r.example/team/app', APP, '1')
    const other = await hopsOf({ url: registry.url }, undefined, ['--server', registry.url])
    expect(other.byName.get('mirror')).toMatchObject({
      outcome: 'failed',
      text: expect.stringContaining('it sends no Cache-Status'),
    })
    const none = await hopsOf({ url: registry.url }, undefined, ['--server', 'http://127.0.0.1:1'])
    expect(none.byName.get('mirror')).toMatchObject({
      outcome: 'failed',
      text: expect.stringMatching(/^http:\/\/127\.0\.0\.1:1: /),
    })
    await expect.poll(() => registry.openSockets()).toBe(0)
  })

  it('refuses a URL that is none', async () => {
    const { code, stderr } = await run({}, undefined, ['--server', 'mirror.lan'])
    expect(code).toBe(2)
    expect(stderr).toContain('error: --server: expected a URL with http:// or https://')
  })
})
