import { describe, expect, it } from 'vitest'
import { isBypassed } from '../../src/upstream/no-proxy.ts'

const BYPASSED: readonly (readonly [entry: string, ...urls: string[]])[] = [
  ['*', 'https://a.example', 'http://10.0.0.1', 'http://[::1]'],
  ['a.example', 'https://a.example', 'http://A.Example:5000', 'https://x.a.example'],
  ['A.EXAMPLE', 'https://a.example'],
  ['.a.example', 'https://a.example', 'https://x.y.a.example'],
  ['*.a.example', 'https://x.a.example', 'https://x.y.a.example'],
  ['a.example.', 'https://a.example', 'https://a.example./'],
  ['a.example:5000', 'http://a.example:5000', 'https://x.a.example:5000'],
  ['a.example:443', 'https://a.example'],
  ['a.example:80', 'http://a.example'],
  ['*:5000', 'http://a.example:5000', 'http://10.0.0.1:5000'],
  ['localhost', 'http://localhost:5000'],
  ['10.1.2.3', 'http://10.1.2.3', 'http://10.1.2.3:5000', 'http://0x0a010203/'],
  ['10.1.2.3:5000', 'http://10.1.2.3:5000'],
  ['10.0.0.0/8', 'http://10.1.2.3', 'http://10.255.255.255:5000'],
  ['0.0.0.0/0', 'http://10.1.2.3'],
  ['10.1.2.3/32', 'http://10.1.2.3'],
  ['::1', 'http://[::1]', 'http://[0:0::1]:5000'],
  ['[::1]', 'http://[::1]'],
  ['[::1]:5000', 'http://[::1]:5000'],
  ['fd00::/8', 'http://[fd12::1]'],
]

const PROXIED: readonly (readonly [entry: string, ...urls: string[]])[] = [
  ['', 'https://a.example', 'http://10.0.0.1'],
  ['.', 'https://a.example'],
  ['a.example', 'https://ba.example', 'https://a.example.org', 'https://example'],
  ['*.a.example', 'https://a.example'],
  ['*a.example', 'https://a.example', 'https://ba.example'],
  ['a.example:5000', 'https://a.example', 'https://a.example:5001'],
  ['a.example:443', 'http://a.example'],
  ['https://a.example', 'https://a.example'],
  ['10.1.2.3', 'http://10.1.2.30', 'http://a.example'],
  ['1.2.3', 'http://10.1.2.3'],
  ['.2.3', 'http://10.1.2.3'],
  ['10.0.0.0/8', 'http://11.0.0.1', 'http://[::1]', 'http://a.example'],
  ['10.0.0.0/33', 'http://10.0.0.1'],
  ['10.0.0.0/-1', 'http://10.0.0.1'],
  ['10.0.0.0/x', 'http://10.0.0.1'],
  ['10.0.0.0/', 'http://10.0.0.1'],
  ['::1', 'http://[::2]', 'http://10.0.0.1'],
  ['[::1]:5000', 'http://[::1]:5001'],
  ['a:b:c', 'https://a.example'],
]

describe('NO_PROXY', () => {
  it.each(BYPASSED)('with %j is for %s and its like', (entry, ...urls) => {
    for (const url of urls) expect([url, isBypassed(new URL(url), [entry])]).toEqual([url, true])
  })

  it.each(PROXIED)('with %j is not for %s or its like', (entry, ...urls) => {
    for (const url of urls) expect([url, isBypassed(new URL(url), [entry])]).toEqual([url, false])
  })

  it('is for what any of its entries names, and for nothing without one', () => {
    const url = new URL('https://a.example')
    expect(isBypassed(url, ['b.example', 'a.example'])).toBe(true)
    expect(isBypassed(url, [])).toBe(false)
  })
})
