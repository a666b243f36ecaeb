import { describe, expect, it } from 'vitest'
import { isRedirect, judgeRedirect, keepsAuthorization } from '../../src/upstream/redirect-rule.ts'

const FROM = new URL('https://gcr.io/v2/x/blobs/sha256:aa')

describe('judgeRedirect', () => {
  it.each([
    ['https://storage.example/x?sig=a', 'https://storage.example/x?sig=a'],
    ['/artifacts-downloads/x', 'https://gcr.io/artifacts-downloads/x'],
    ['../manifests/1', 'https://gcr.io/v2/x/manifests/1'],
    ['//cdn.example/x#fragment', 'https://cdn.example/x'],
    ['HTTPS://CDN.example:443/x', 'https://cdn.example/x'],
  ])('leads from Location %s to %s', (location, expected) => {
    expect(judgeRedirect(FROM, location)).toEqual({ url: new URL(expected) })
  })

  it.each([
    ['http://gcr.io/x'],
    ['http://cdn.example/x'],
    ['file:///etc/passwd'],
    ['ftp://cdn.example/x'],
    ['javascript:alert(1)'],
    ['https://user@cdn.example/'],
    ['https://cdn.example./'],
    ['https://'],
    [undefined],
  ])('refuses Location %s', (location) => {
    expect(judgeRedirect(FROM, location)).toHaveProperty('refusal')
  })

  it('names no secret of the Location that it refuses', () => {
    const verdict = judgeRedirect(FROM, 'http://user:canary@cdn.example/?X-Amz-Signature=canary')
    expect(JSON.stringify(verdict)).not.toContain('canary')
  })

  it('follows an endpoint without TLS to one without and one with', () => {
    const from = new URL('http://127.0.0.1:5000/v2/')
    expect(judgeRedirect(from, 'http://127.0.0.1:5001/x')).toHaveProperty('url')
    expect(judgeRedirect(from, 'https://127.0.0.1:5001/x')).toHaveProperty('url')
  })
})

describe('keepsAuthorization', () => {
  it.each([
    ['https://gcr.io/elsewhere', true],
    ['https://gcr.io:443/elsewhere?page=2', true],
    ['https://gcr.io:8443/', false],
    ['http://gcr.io/', false],
    ['https://storage.gcr.io/', false],
    ['https://gcr.io/x?X-Amz-Signature=a', false],
    ['https://gcr.io/x?x-goog-signature=a', false],
    ['https://gcr.io/x?sv=1&SIG=a', false],
    ['https://gcr.io/x?Signature=a&Key-Pair-Id=b', false],
  ])('to %s: %s', (to, expected) => {
    expect(keepsAuthorization(FROM, new URL(to))).toBe(expected)
  })
})

describe('isRedirect', () => {
  it('knows the five statuses that registries redirect with, and no other', () => {
    const statuses = [300, 301, 302, 303, 304, 305, 306, 307, 308]
    expect(statuses.filter(isRedirect)).toEqual([301, 302, 303, 307, 308])
  })
})
