import { describe, expect, it } from 'vitest'
import { formatConfig } from '../../src/config/print-config.ts'
import { load, problemsOf } from './load.ts'

async function modesOf(input: object, options: Parameters<typeof load>[1] = {}) {
  const { config } = await load(input, options)
  return Object.fromEntries([...config.upstreams.values()].map(({ name, mode }) => [name, mode]))
}

const MIXED = { upstreams: { 'docker.io': {}, 'quay.io': { mode: 'cache-first' } } }
const NEEDY = {
  upstreams: {
    'a.example': {
      auth: { username: { env: 'NOT_SET' }, password: { file: 'not/there' } },
      access: 'shared',
      ca: 'not/there.pem',
    },
    'b.example': { auth: { helper: 'not-installed' }, access: 'shared' },
  },
}

describe('the mode of an upstream', () => {
  it('is what the file says, and online if it does not', async () => {
    expect(await modesOf(MIXED)).toEqual({ 'docker.io': 'online', 'quay.io': 'cache-first' })
  })

  it('is one of three', async () => {
    expect(await problemsOf({ upstreams: { 'quay.io': { mode: 'offlin' } } })).toEqual([
      'upstreams["quay.io"].mode: expected "online", "cache-first" or "offline", got "offlin" (did you mean "offline"?)',
    ])
  })

  it.each([
    ['the flag', { offline: true }],
    ['1 in the environment', { env: { OCI_MIRROR_OFFLINE: '1' } }],
    ['true in the environment', { env: { OCI_MIRROR_OFFLINE: 'true' } }],
  ])('is offline for all of them by %s', async (_, options) => {
    expect(await modesOf(MIXED, options)).toEqual({ 'docker.io': 'offline', 'quay.io': 'offline' })
    const modes = Object.values(await modesOf({}, options))
    expect(modes).toEqual(Array.from({ length: 7 }, () => 'offline'))
  })

  it.each(['', '0', 'false'])('is left alone by "%s" in the environment', async (value) => {
    expect(await modesOf(MIXED, { env: { OCI_MIRROR_OFFLINE: value } })).toEqual(
      await modesOf(MIXED),
    )
  })

  it('is not guessed from another word in the environment', async () => {
    expect(await problemsOf({}, { env: { OCI_MIRROR_OFFLINE: 'yes please' } })).toEqual([
      'OCI_MIRROR_OFFLINE: expected 1 or 0, got "yes please"',
    ])
  })

  it('spares an offline upstream the secrets and certificates that are elsewhere', async () => {
    expect(await problemsOf(NEEDY)).toHaveLength(4)
    const { config } = await load(NEEDY, { offline: true })
    // It had credentials: that what it gave is not for everyone does not change.
    expect([...config.upstreams.values()].map(({ credentials }) => typeof credentials)).toEqual([
      'function',
      'function',
    ])
  })

  it('hides no other fault', async () => {
    const input = { upstreams: { 'a.example': { connections: 0 }, 'b.example': 1 } }
    const problems = await problemsOf(input, { offline: true })
    expect(problems.map((line) => line.slice(0, line.indexOf(': ')))).toEqual([
      'upstreams["a.example"].connections',
      'upstreams["b.example"]',
    ])
  })

  it('is printed as it is in effect', async () => {
    const yaml = formatConfig(await load(MIXED, { offline: true }), 'yaml')
    expect(yaml.match(/mode: \S+/g)).toEqual(['mode: offline', 'mode: offline'])
    expect(formatConfig(await load(MIXED), 'yaml').match(/mode: \S+/g)).toEqual([
      'mode: online',
      'mode: cache-first',
    ])
  })
})
