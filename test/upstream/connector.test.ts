import { once } from 'node:events'
import type { AddressInfo, LookupFunction } from 'node:net'
import { createServer } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ForbiddenAddress, guardedConnector } from '../../src/upstream/connector.ts'

const ENDPOINT = new URL('https://registry.corp.example')

/** Answers from a table, as the system's resolver would, and notes what it was asked. */
function resolver(table: Readonly<Record<string, readonly string[]>>, asked: string[] = []) {
  const lookup: LookupFunction = (hostname, options, callback) => {
    asked.push(hostname)
    const addresses = (table[hostname] ?? []).map((address) => ({
      address,
      family: address.includes(':') ? 6 : 4,
    }))
    const [first] = addresses
    if (first === undefined) {
      callback(Object.assign(new Error('no such host'), { code: 'ENOTFOUND' }), [])
    } else if (options.all === true) callback(null, addresses)
    else callback(null, first.address, first.family)
  }
  return lookup
}

describe('guardedConnector', () => {
  const server = createServer()
  let port = 0
  let connections = 0
  server.on('connection', (socket) => {
    connections += 1
    socket.destroy()
  })

  beforeEach(async () => {
    connections = 0
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    port = (server.address() as AddressInfo).port
  })
  afterEach(async () => {
    server.close()
    await once(server, 'close')
  })

  interface Rules {
    readonly endpoints?: readonly URL[]
    readonly tokenRealms?: readonly string[]
    readonly redirectHosts?: readonly string[]
  }

  /** 'connected', or the error: what happens when something dials the URL. */
  async function dial(text: string, lookup: LookupFunction, rules: Rules = {}): Promise<unknown> {
    const { hostname, host, protocol, port: urlPort } = new URL(text)
    const options = {
      endpoints: [ENDPOINT],
      tokenRealms: [],
      redirectHosts: [],
      insecure: false,
      ...rules,
    }
    const connector = guardedConnector(options, 1_000, { lookup })
    const bare = hostname.replace(/^\[|\]$/g, '')
    return new Promise((resolve) => {
      connector({ hostname: bare, host, protocol, port: urlPort }, (error, socket) => {
        socket?.destroy()
        resolve(error ?? 'connected')
      })
    })
  }

  it.each([
    ['127.0.0.1'],
    ['[::1]'],
    ['[::ffff:127.0.0.1]'],
    ['2130706433'],
    ['0x7f.1'],
    ['169.254.169.254'],
    ['10.0.0.1'],
    ['[fd00:ec2::254]'],
  ])(
    'dials no address like %s that an upstream names, although nothing looks it up',
    async (host) => {
      const asked: string[] = []
      const error = await dial(`http://${host}:${port}/`, resolver({}, asked))
      expect(error).toBeInstanceOf(ForbiddenAddress)
      expect([asked, connections]).toEqual([[], 0])
    },
  )

  it.each([
    ['a loopback address', ['127.0.0.1']],
    ['a private address', ['10.1.2.3']],
    ['a metadata address', ['169.254.169.254']],
    ['a public address among which one is not', ['203.0.114.1', '127.0.0.1']],
    ['an IPv6 spelling of loopback', ['::ffff:127.0.0.1']],
  ])('does not connect to a strange host with %s', async (_, addresses) => {
    const lookup = resolver({ 'cdn.example': addresses })
    expect(await dial(`http://cdn.example:${port}/`, lookup)).toBeInstanceOf(ForbiddenAddress)
    expect(connections).toBe(0)
  })

  it('judges the answer of every look-up anew', async () => {
    const table = { 'cdn.example': ['127.0.0.1'] }
    const rules = { redirectHosts: [`cdn.example:${port}`] }
    const url = `http://cdn.example:${port}/`
    expect(await dial(url, resolver(table), rules)).toBe('connected')
    expect(await dial(url, resolver(table))).toBeInstanceOf(ForbiddenAddress)
  })

  it('lets a host of the same domain be private, but neither loopback nor metadata', async () => {
    const url = `http://auth.corp.example:${port}/`
    const at = (address: string) => dial(url, resolver({ 'auth.corp.example': [address] }))
    expect(await at('127.0.0.1')).toBeInstanceOf(ForbiddenAddress)
    expect(await at('169.254.169.254')).toBeInstanceOf(ForbiddenAddress)
    // TEST-NET would be refused as special; a private address is dialled, and nobody is there.
    expect(await at('10.255.255.1')).not.toBeInstanceOf(ForbiddenAddress)
  })

  it.each([
    ['an endpoint', (host: string) => ({ endpoints: [new URL(`http://${host}`)] })],
    ['a listed token server', (host: string) => ({ tokenRealms: [host] })],
    ['a listed redirect host', (host: string) => ({ redirectHosts: [host] })],
  ])('dials %s wherever it is', async (_, rules) => {
    const host = `registry.test:${port}`
    const lookup = resolver({ 'registry.test': ['127.0.0.1'] })
    expect(await dial(`http://${host}/`, lookup, rules(host))).toBe('connected')
    const literal = `127.0.0.1:${port}`
    expect(await dial(`http://${literal}/`, lookup, rules(literal))).toBe('connected')
    expect(connections).toBe(2)
  })

  it('exempts the configured port only', async () => {
    const rules = { endpoints: [new URL(`http://127.0.0.1:${port + 1}`)] }
    const error = await dial(`http://127.0.0.1:${port}/`, resolver({}), rules)
    expect(error).toBeInstanceOf(ForbiddenAddress)
  })

  it('passes on that a host does not exist', async () => {
    expect(await dial('http://gone.example/', resolver({}))).toMatchObject({ code: 'ENOTFOUND' })
  })

  it('says what is wrong with a `ca` that is no certificate', () => {
    const options = { endpoints: [ENDPOINT], tokenRealms: [], redirectHosts: [], insecure: false }
    expect(() => guardedConnector({ ...options, ca: 'nonsense' }, 1_000)).toThrow('PEM')
  })
})
