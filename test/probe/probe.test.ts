import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Config } from '../../src/config/config.ts'
import { loadConfig } from '../../src/config/load-config.ts'
import { systemClock } from '../../src/core/system-clock.ts'
import type { Hop } from '../../src/probe/hop.ts'
import { probe } from '../../src/probe/probe.ts'
import { FakeProxy } from '../support/fake-proxy.ts'
import type { FakeRegistryOptions } from '../support/fake-registry.ts'
import { FakeRegistry } from '../support/fake-registry.ts'
import { buildImage } from '../support/images.ts'
import type { TempDir } from '../support/temp-dir.ts'
import { makeTempDir } from '../support/temp-dir.ts'

const IMAGE = buildImage({ seed: 'app' })
const PROXY_LOGIN = 'corp:canary-password'
let dir: TempDir

beforeEach(async () => (dir = await makeTempDir()))
afterEach(() => dir.remove())

async function startRegistry(options: FakeRegistryOptions = {}): Promise<FakeRegistry> {
  const registry = await FakeRegistry.start(options)
  registry.add('team/app', IMAGE, '1')
  return registry
}

async function configOf(
  upstream: object,
  env: Readonly<Record<string, string>> = {},
): Promise<Config> {
  const text = JSON.stringify({ upstreams: { 'r.example': upstream } })
  await writeFile(join(dir.path, 'mirror.config.json'), text)
  const { config } = await loadConfig({ file: undefined, env, cwd: dir.path, flags: [] })
  return config
}

async function hopsOf(config: Config): Promise<readonly Hop[]> {
  const hops: Hop[] = []
  const report = (hop: Hop) => hops.push(hop)
  const found = await probe('r.example/team/app:1', config, { clock: systemClock, report })
  expect(found === undefined).toBe(hops.at(-1)?.outcome === 'failed')
  expect(JSON.stringify(hops)).not.toContain('canary')
  return hops
}

const textOf = (hops: readonly Hop[], name: Hop['name']) =>
  hops.find((hop) => hop.name === name)?.text

describe('probing', () => {
  it('says why credentials cannot be read', async () => {
    await using registry = await startRegistry()
    const secret = join(dir.path, 'secret')
    await writeFile(secret, 'canary')
    const auth = { username: 'robot', password: { file: secret } }
    const config = await configOf({ url: registry.url, auth, access: 'shared' })
    // After the check at the start of the program, as when a rotation goes wrong.
    await writeFile(secret, '')
    const hops = await hopsOf(config)
    expect(hops.at(-1)).toMatchObject({
      name: 'token',
      outcome: 'failed',
      text: `cannot read the credentials of r.example: ${secret} is empty`,
      advice: 'mend the `auth` of r.example',
    })
    expect(registry.requests).toEqual([])
  })
})

describe('probing through a proxy', () => {
  it('connects to the proxy for http, and leaves the name to it', async () => {
    await using registry = await startRegistry()
    await using proxy = await FakeProxy.start({ login: PROXY_LOGIN })
    const url = registry.url.replace('127.0.0.1', 'registry.invalid')
    const hops = await hopsOf(await configOf({ url }, { HTTP_PROXY: proxy.url.href }))
    expect(textOf(hops, 'dns')).toBe('the proxy 127.0.0.1: an address, nothing to look up')
    expect(textOf(hops, 'connect')).toBe(`through the proxy ${proxy.host}, without TLS`)
    expect(hops.every(({ outcome }) => outcome === 'ok' || outcome === 'skipped')).toBe(true)
    // The proxy keeps its own connection to the registry.
    await expect.poll(() => proxy.openSockets()).toBe(0)
  })

  it('shows the certificate behind the tunnel for https', async () => {
    await using registry = await startRegistry({ tls: true })
    await using proxy = await FakeProxy.start()
    await writeFile(join(dir.path, 'ca.pem'), registry.ca ?? '')
    const settings = { url: registry.url, ca: './ca.pem' }
    const hops = await hopsOf(await configOf(settings, { HTTPS_PROXY: proxy.url.href }))
    expect(textOf(hops, 'connect')).toMatch(
      new RegExp(
        `^through the proxy ${proxy.host}, TLSv1\\.3, certificate by 127\\.0\\.0\\.1 until `,
      ),
    )
    expect(hops.at(-1)?.outcome).not.toBe('failed')
    expect(new Set(proxy.targets())).toEqual(new Set([`CONNECT ${registry.host()}`]))
    await expect.poll(() => [registry.openSockets(), proxy.openSockets()]).toEqual([0, 0])
  })

  it.each(['HTTP_PROXY', 'HTTPS_PROXY'])('names the proxy that is down: %s', async (variable) => {
    const proxy = await FakeProxy.start()
    const { host, url } = proxy
    await proxy.close()
    const origin = `${variable === 'HTTP_PROXY' ? 'http' : 'https'}://registry.invalid`
    const hops = await hopsOf(await configOf({ url: origin }, { [variable]: url.href }))
    expect(hops.at(-1)).toMatchObject({
      name: 'connect',
      outcome: 'failed',
      text: `connect to ${origin} (through the proxy ${host}): connection refused`,
      advice: expect.stringContaining('NO_PROXY'),
    })
  })

  it('says that the proxy refuses', async () => {
    await using proxy = await FakeProxy.start()
    proxy.refuse(403)
    const config = await configOf({ url: 'https://r.invalid' }, { HTTPS_PROXY: proxy.url.href })
    expect(textOf(await hopsOf(config), 'connect')).toContain('(it answered 403)')
  })

  it('goes straight to what NO_PROXY names', async () => {
    await using registry = await startRegistry()
    await using proxy = await FakeProxy.start()
    const env = { HTTP_PROXY: proxy.url.href, NO_PROXY: '127.0.0.1' }
    const hops = await hopsOf(await configOf({ url: registry.url }, env))
    expect(textOf(hops, 'connect')).toBe(`${registry.host()}, without TLS`)
    expect(proxy.requests).toEqual([])
  })
})
