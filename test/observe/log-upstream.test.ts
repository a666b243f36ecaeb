import { describe, expect, it } from 'vitest'
import type { UpstreamEvent } from '../../src/core/upstream-state.ts'
import { logUpstream } from '../../src/observe/log-upstream.ts'
import type { UpstreamName } from '../../src/oci/reference.ts'

const AT = { upstream: 'docker.io' as UpstreamName, host: 'registry-1.docker.io' }
const until = Date.UTC(2026, 0, 1)
const reason = 'GET https://registry-1.docker.io/v2/x: connection refused'
const rateLimit = { limit: 100, remaining: 3, window: 21_600, toldAt: until }

function logged(event: UpstreamEvent): readonly unknown[] {
  const lines: unknown[] = []
  const write = (level: string) => (fields: object, message: string) => {
    lines.push([level, message, fields])
  }
  logUpstream(
    { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') },
    event,
  )
  return lines
}

describe('an upstream in the log', () => {
  const circuit = { what: 'circuit', ...AT } as const

  it('is a warning when it is left alone, with the reason and the time', () => {
    expect(logged({ ...circuit, from: 'closed', to: 'open', until, reason })).toEqual([
      ['warn', 'opened circuit', { ...AT, reason, until: '2026-01-01T00:00:00.000Z' }],
    ])
  })

  it('is news when it is back', () => {
    const back = { from: 'half-open', to: 'closed', until: undefined, reason: undefined } as const
    expect(logged({ ...circuit, ...back })).toEqual([
      ['info', 'closed circuit', { ...AT, reason: undefined }],
    ])
  })

  it.each([
    ['open', 'half-open', 'tried circuit'],
    ['half-open', 'open', 'reopened circuit'],
  ] as const)('is for debugging while it is away: %s, %s', (from, to, message) => {
    expect(logged({ ...circuit, from, to, until, reason })).toMatchObject([
      ['debug', message, { ...AT, reason }],
    ])
  })

  it('is a warning when few pulls are left, and news when there are more', () => {
    const saving = { what: 'saving', ...AT, rateLimit } as const
    expect(logged({ ...saving, isSaving: true })).toEqual([
      ['warn', 'reached rate limit reserve', { ...AT, rateLimit }],
    ])
    expect(logged({ ...saving, isSaving: false })).toEqual([
      ['info', 'left rate limit reserve', { ...AT, rateLimit }],
    ])
  })
})
