import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { JobImages } from '../../../src/airgap/warm/read-job.ts'
import { readJob } from '../../../src/airgap/warm/read-job.ts'
import type { WarmJob } from '../../../src/airgap/warm/warm-jobs.ts'
import { WarmJobs } from '../../../src/airgap/warm/warm-jobs.ts'
import type { WarmApi, WarmReport, WarmRequest } from '../../../src/core/airgap/warm-api.ts'
import { JobBoard } from '../../../src/core/maintenance/job-board.ts'
import { ManualClock } from '../../support/clock.ts'
import { makeTempDir } from '../../support/temp-dir.ts'

const MINUTE = 60_000
const HOUR = 60 * MINUTE
const REPORT: WarmReport = {
  dryRun: false,
  platforms: ['all'],
  images: [],
  upstreams: [],
  fetch: { blobs: 0, bytes: 0, unsharedBytes: 0 },
}
const LACKING = { image: 'docker.io/library/b:1', reference: 'b:1', from: 'x.txt:2' } as const

interface Line {
  readonly level: string
  readonly message: string
  readonly fields: object
}

let clock: ManualClock
let lines: Line[]
let requests: WarmRequest[]
let answer: (request: WarmRequest, signal: AbortSignal) => Promise<WarmReport>
let running: WarmJobs[]

beforeEach(() => {
  clock = new ManualClock()
  lines = []
  requests = []
  answer = async () => REPORT
  running = []
})
afterEach(async () => {
  for (const jobs of running) await jobs.stop()
  expect(clock.sleeping()).toBe(0)
})

/** Every hour. */
const HOURLY: WarmJob = {
  name: 'hourly',
  schedule: { next: (time) => (Math.floor(time / HOUR) + 1) * HOUR },
  from: [{ input: 'a:1' }],
  platforms: undefined,
  pin: false,
}

function start(job: WarmJob, read: () => Promise<JobImages> = async () => onlyImage()): JobBoard {
  const board = new JobBoard([{ name: job.name, schedule: { text: '0 * * * *' } }])
  const warm: WarmApi = {
    warm: (request, _, signal) => {
      requests.push(request)
      return answer(request, signal)
    },
  }
  const write = (level: string) => (fields: object, message: string) => {
    lines.push({ level, message, fields })
  }
  const log = {
    debug: write('debug'),
    info: write('info'),
    warn: write('warn'),
    error: write('error'),
  }
  running.push(new WarmJobs([job], { warm, board, read, clock, log }))
  return board
}

function onlyImage(): JobImages {
  return { images: [{ reference: 'a:1' }], problems: [] }
}

describe('a job', () => {
  it('runs at its times, and shows when that is', async () => {
    const begin = clock.now()
    const board = start({ ...HOURLY, pin: true, platforms: ['linux/arm64'] })
    expect(board.report()).toEqual([
      {
        name: 'hourly',
        schedule: '0 * * * *',
        runningSince: null,
        next: begin + HOUR,
        last: null,
        lastSuccess: null,
      },
    ])
    await clock.advance(59 * MINUTE)
    expect(requests).toEqual([])
    await clock.advance(2 * HOUR)
    const how = { pin: true, platforms: ['linux/arm64'], dryRun: false, failFast: false }
    expect(requests).toEqual([1, 2].map(() => ({ images: [{ reference: 'a:1' }], ...how })))
    expect(board.report()).toMatchObject([
      { next: begin + 3 * HOUR, lastSuccess: begin + 2 * HOUR, last: { images: 0, failed: 0 } },
    ])
  })

  it('never overlaps itself: what it is too late for is left out', async () => {
    const gate = Promise.withResolvers<WarmReport>()
    answer = () => gate.promise
    const board = start(HOURLY)
    await clock.advance(4 * HOUR + MINUTE)
    expect(requests).toHaveLength(1)
    expect(board.report()[0]?.runningSince).toEqual(expect.any(Number))
    gate.resolve(REPORT)
    await clock.advance(0)
    await clock.advance(HOUR)
    expect(requests).toHaveLength(2)
  })

  it('runs when the clock has been set ahead past its time', async () => {
    start(HOURLY)
    clock.jump(HOUR)
    await clock.advance(MINUTE)
    expect(requests).toHaveLength(1)
  })

  it('logs what failed by name and place, and is no success then', async () => {
    const failed = { ...LACKING, state: 'failed', platforms: [], bytes: 0, fetchBytes: 0 } as const
    answer = async () => ({ ...REPORT, images: [{ ...failed, attachments: 0, reason: 'denied' }] })
    const board = start(HOURLY)
    await clock.advance(HOUR)
    expect(lines.map(({ level, message }) => `${level} ${message}`)).toEqual([
      'info started warming job',
      'warn failed to warm image',
      'info finished warming job',
    ])
    expect(lines[1]?.fields).toEqual({
      job: 'hourly',
      image: LACKING.image,
      from: 'x.txt:2',
      state: 'failed',
      reason: 'denied',
    })
    expect(board.report()).toMatchObject([{ last: { images: 1, failed: 1 }, lastSuccess: null }])
  })

  it('goes on after an error, and after a list that could not be read', async () => {
    answer = () => Promise.reject(new Error('no image is named'))
    const board = start(HOURLY, async () => ({ images: [], problems: ['x.txt: it is gone'] }))
    await clock.advance(HOUR)
    expect(lines.filter(({ level }) => level === 'error').map(({ fields }) => fields)).toEqual([
      { job: 'hourly', problem: 'x.txt: it is gone' },
      { job: 'hourly', error: new Error('no image is named') },
    ])
    expect(board.report()).toMatchObject([{ last: { problem: 'no image is named' } }])
    answer = async () => REPORT
    await clock.advance(HOUR)
    expect(requests).toHaveLength(2)
    expect(board.report()).toMatchObject([
      { last: { problem: 'x.txt: it is gone' }, lastSuccess: null },
    ])
  })

  it('that runs is stopped with the mirror, which is no failure', async () => {
    answer = async (_, signal) => {
      await clock.sleep(HOUR, signal)
      signal.throwIfAborted()
      return REPORT
    }
    start(HOURLY)
    await clock.advance(HOUR)
    await running[0]?.stop()
    expect(lines.map(({ level }) => level)).toEqual(['info'])
  })
})

describe('what a job names', () => {
  it('is read at each run: files beside the configuration, folders, what was served, and images', async () => {
    await using dir = await makeTempDir()
    await mkdir(join(dir.path, 'deploy'))
    await writeFile(join(dir.path, 'images.txt'), '# ours\nnginx:1.29\nNOT AN IMAGE\n')
    await writeFile(
      join(dir.path, 'deploy/compose.yaml'),
      'services:\n  web:\n    image: ghcr.io/acme/web:2\n',
    )
    const since: number[] = []
    const sources = [
      { input: 'images.txt' },
      { input: './deploy' },
      { input: './gone.txt' },
      { servedWithin: 60_000 },
      { input: 'hub/app:1' },
    ]
    const { images, problems } = await readJob(sources, {
      dir: dir.path,
      name: 'the job nightly',
      env: {},
      now: () => 100_000,
      served: async (time) => {
        since.push(time)
        return ['docker.io/library/served:1']
      },
    })
    expect(since).toEqual([40_000])
    expect(images.map(({ reference, from }) => `${reference} ${from}`).toSorted()).toEqual(
      [
        'docker.io/library/nginx:1.29 images.txt:2',
        "docker.io/library/served:1 the mirror's log",
        'ghcr.io/acme/web:2 deploy/compose.yaml:3',
        'hub/app:1 the job nightly',
      ].toSorted(),
    )
    expect(problems).toEqual([
      `${join(dir.path, 'gone.txt')}: there is no such file or directory`,
      expect.stringMatching(/^images\.txt:3: /),
    ])
  })
})
