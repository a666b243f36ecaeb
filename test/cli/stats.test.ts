import { describe, expect, it } from 'vitest'
import { statsLines } from '../../src/cli/stats.ts'
import type { Activity, StatsReport } from '../../src/core/maintenance/reports.ts'
import type { UpstreamMode } from '../../src/core/upstream-mode.ts'
import type { CircuitState, RateLimitState } from '../../src/core/upstream-state.ts'

const NOW = 1_000_000_000
const MINUTE = 60_000

const CLOSED: CircuitState = { name: 'closed', since: 0, until: undefined, reason: undefined }
const REPORT: StatsReport = {
  stored: { blobs: 3, bytes: 4_200_000 },
  limits: { maxSize: 50_000_000, minFree: 1000 },
  volume: { total: 1_000_000, free: 400_000 },
  counts: { repositories: 1, tags: 2, manifests: 2, pins: 1, holds: 0 },
  activity: null,
}
const RUNNING: Activity = {
  startedAt: NOW - 90 * MINUTE,
  flights: 1,
  disk: { kind: 'ok' },
  upstreams: [],
  jobs: [],
}

function linesOf(activity: Partial<Activity>): readonly string[] {
  return statsLines({ ...REPORT, activity: { ...RUNNING, ...activity } }, NOW)
}

function upstreamOf(
  circuit: CircuitState,
  rateLimit?: RateLimitState,
  isSaving = false,
  mode: UpstreamMode = 'online',
): readonly string[] {
  const endpoints = [{ host: 'registry-1.docker.io', circuit, rateLimit }]
  const state = { endpoints, isSaving, underWay: 2, queued: 1, background: 0 }
  const counted = { outcomes: { hit: 3, miss: 1 }, failed: 1, bytes: 2_000_000, hitRatio: 0.75 }
  const lines = linesOf({ upstreams: [{ upstream: 'docker.io', mode, ...counted, state }] })
  return lines.slice(7)
}

describe('stats', () => {
  it('shows what is here, its limits and how the mirror runs', () => {
    expect(linesOf({})).toEqual([
      'stored  4.2 MB of at most 50 MB, 3 blobs',
      'volume  400 kB free of 1.0 MB, 1.0 kB are to stay free',
      'images  2 tags and 2 manifests of 1 repository; 1 pinned, 0 held',
      'mirror  running for 1 h, 1 download under way',
      'disk    takes what is downloaded',
      '',
      'UPSTREAM  REQUESTS  FAILED  FROM HERE  SENT  ASKING  WAITING  STATE  RATE LIMIT',
    ])
  })

  it.each([
    ['full', 'full for 3 min, downloads are passed on unstored: ENOSPC'],
    ['broken', 'refuses writes for 3 min, downloads are passed on unstored: ENOSPC'],
  ] as const)('says of a disk that is %s since when and why', (kind, said) => {
    const since = NOW - 3 * MINUTE
    expect(linesOf({ disk: { kind, since, reason: 'ENOSPC' } })[4]).toBe(`disk    ${said}`)
  })

  it('says that the volume cannot be read, and the rest all the same', () => {
    const limits = { maxSize: null, minFree: null }
    const lines = statsLines({ ...REPORT, limits, volume: null }, NOW)
    expect(lines[0]).toBe('stored  4.2 MB, 3 blobs')
    expect(lines[1]).toBe('volume  cannot be read: see the log, and the disk')
    expect(lines.at(-1)).toBe('mirror  not running')
  })

  it('shows for each upstream its circuit, what waits for it and its rate limit', () => {
    const shown = 'docker.io         5       1       75 %  2.0 MB       2        1'
    const host = 'docker.io at registry-1.docker.io'
    const reason = 'answered 503'
    const since = NOW - 5 * MINUTE
    const told = { limit: 100, remaining: 7, window: 21_600, toldAt: NOW }
    expect(upstreamOf(CLOSED)).toEqual([`${shown}  up     -`])
    expect(upstreamOf(CLOSED, told, true)).toEqual([`${shown}  up     7 of 100 pulls left, saving`])
    expect(upstreamOf(CLOSED, undefined, false, 'cache-first')).toEqual([
      `${shown}  cache-first, up  -`,
    ])
    expect(upstreamOf(CLOSED, undefined, false, 'offline')).toEqual([`${shown}  offline  -`])
    expect(upstreamOf({ name: 'open', since, until: NOW + 9000, reason })).toEqual([
      `${shown}  down for 5 min  -`,
      '',
      `${host} is asked again in 9 s: answered 503`,
    ])
    expect(upstreamOf({ name: 'half-open', since, until: undefined, reason })).toEqual([
      `${shown}  down for 5 min  -`,
      '',
      `${host} is being tried now: answered 503`,
    ])
  })
})

describe('the jobs of a mirror', () => {
  it('are shown with their last run and the next, and with what was wrong', () => {
    const job = { name: 'nightly', schedule: '0 2 * * *', runningSince: null, lastSuccess: null }
    const run = { startedAt: NOW - 5 * MINUTE, endedAt: NOW - 3 * MINUTE, images: 31, failed: 2 }
    const problem = 'images.txt:3: "NO" is no image'
    const lines = linesOf({
      jobs: [
        { ...job, next: NOW + 30 * MINUTE, last: { ...run, problem } },
        { ...job, name: 'now', runningSince: NOW - MINUTE, next: null, last: null },
      ],
    })
    expect(lines.slice(-5)).toEqual([
      'WARM JOB  SCHEDULE   RUNNING    LAST RUN   IMAGES  FAILED  NEXT',
      'nightly   0 2 * * *             3 min ago      31       2  in 30 min',
      'now       0 2 * * *  for 1 min  not yet         -       -  never',
      '',
      `the job nightly had a problem: ${problem}`,
    ])
  })
})
