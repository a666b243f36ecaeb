import { describe, expect, it } from 'vitest'
import { judgeRealm } from '../../src/upstream/realm-rule.ts'

function verdict(realm: string, endpoint: string, tokenRealms: readonly string[] = []): string {
  const judged = judgeRealm(realm, new URL(endpoint), tokenRealms)
  if ('refusal' in judged) return 'refused'
  return judged.mayHaveCredentials ? 'credentials' : 'anonymous'
}

const HUB = 'https://registry-1.docker.io'

describe('judgeRealm', () => {
  it.each([
    ['https://registry-1.docker.io/token', HUB],
    ['https://registry-1.docker.io:443/token', HUB],
    ['https://auth.docker.io/token', HUB],
    ['https://AUTH.Docker.IO/token', HUB],
    ['http://127.0.0.1:5000/token', 'http://127.0.0.1:5000'],
    ['https://127.0.0.1:5000/token', 'http://127.0.0.1:5000'],
    ['http://auth.corp.example:81/', 'http://registry.corp.example'],
    ['https://gitlab.example.co.uk/jwt/auth', 'https://registry.example.co.uk'],
  ])('lets %s have the credentials of %s', (realm, endpoint) => {
    expect(verdict(realm, endpoint)).toBe('credentials')
  })

  it.each([
    ['https://evil-docker.io/token', HUB],
    ['https://docker.io.evil.example/token', HUB],
    ['https://auth.docker.com/token', HUB],
    ['https://127.0.0.1:5001/token', 'https://127.0.0.1:5000'],
    ['https://localhost:5001/token', 'https://localhost:5000'],
    ['https://10.0.0.2/token', 'https://10.0.0.1'],
    ['https://10.0.0.1/token', 'http://10.0.0.1'],
    ['https://thief.github.io/', 'https://owner.github.io'],
    ['https://thief.s3.amazonaws.com/', 'https://owner.s3.amazonaws.com'],
    ['https://other.co.uk/', 'https://registry.co.uk'],
    ['https://authn.nvidia.com/token', 'https://nvcr.io'],
  ])('keeps the credentials of the endpoint from %s', (realm, endpoint) => {
    expect(verdict(realm, endpoint)).toBe('anonymous')
  })

  it.each([
    ['http://auth.docker.io/token', HUB],
    ['https://user:pass@auth.docker.io/token', HUB],
    ['https://auth.docker.io./token', HUB],
    ['ftp://auth.docker.io/token', HUB],
    ['file:///etc/passwd', HUB],
    ['//auth.docker.io/token', HUB],
    ['/token', HUB],
    ['', HUB],
  ])('refuses the realm %j', (realm, endpoint) => {
    expect(verdict(realm, endpoint)).toBe('refused')
  })

  it.each([
    ['authn.nvidia.com', 'credentials'],
    ['AUTHN.nvidia.com:443', 'credentials'],
    ['authn.nvidia.com:8443', 'anonymous'],
    ['nvidia.com', 'anonymous'],
    ['not a host', 'anonymous'],
  ])('matches host and port of the listed realm %s exactly', (entry, expected) => {
    expect(verdict('https://authn.nvidia.com/token', 'https://nvcr.io', [entry])).toBe(expected)
  })

  it('keeps the query of the realm and drops its fragment', () => {
    expect(judgeRealm('https://auth.docker.io/t?a=b#c', new URL(HUB), [])).toEqual({
      realm: new URL('https://auth.docker.io/t?a=b'),
      mayHaveCredentials: true,
    })
  })
})
