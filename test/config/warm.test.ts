import { describe, expect, it } from 'vitest'
import { readSchedule } from '../../src/config/schedule.ts'
import { formatConfig } from '../../src/config/print-config.ts'
import { load, problemsOf } from './load.ts'

const JOB = {
  name: 'nightly',
  schedule: '0 2 * * *',
  from: ['./images.txt', 'log:14d', 'alpine:3'],
}

describe('what is warmed', () => {
  it('is read with its units, and printed as it can be read again', async () => {
    const loaded = await load({
      warm: {
        platforms: ['linux/amd64', 'linux/arm64/v8'],
        referrers: false,
        jobs: [{ ...JOB, platforms: ['all'], pin: true }],
      },
    })
    expect(loaded.config.warm).toEqual({
      platforms: ['linux/amd64', 'linux/arm64/v8'],
      referrers: false,
      jobs: [
        {
          name: 'nightly',
          schedule: { text: '0 2 * * *', next: expect.any(Function) },
          from: [
            { input: './images.txt' },
            { servedWithin: 14 * 86_400_000 },
            { input: 'alpine:3' },
          ],
          platforms: ['all'],
          pin: true,
        },
      ],
    })
    const printed = JSON.parse(formatConfig(loaded, 'json')) as { readonly warm: object }
    expect(printed.warm).toEqual({
      platforms: ['linux/amd64', 'linux/arm64/v8'],
      referrers: false,
      jobs: [{ ...JOB, platforms: ['all'], pin: true }],
    })
    const again = await load({ warm: printed.warm })
    expect(formatConfig(again, 'json')).toContain('"log:14d"')
  })

  it.each([
    [
      { schedule: 'daily' },
      'warm.jobs[0].schedule: expected a cron expression of five fields such as "0 2 * * *", or @hourly, @daily or @weekly, got "daily"',
    ],
    [
      { schedule: '* * * * * *' },
      'warm.jobs[0].schedule: expected a cron expression of five fields such as "0 2 * * *", or @hourly, @daily or @weekly, got "* * * * * *"',
    ],
    [
      { schedule: '0 0 31 2 *' },
      'warm.jobs[0].schedule: expected a cron expression of five fields such as "0 2 * * *", or @hourly, @daily or @weekly; this one never comes, got "0 0 31 2 *"',
    ],
    [
      { name: 'two words' },
      'warm.jobs[0].name: expected a name of letters, digits, "-" and "_", at most 40, got "two words"',
    ],
    [
      { from: [] },
      'warm.jobs[0].from: expected at least one of the path of a file or folder, "log:14d", or an image, got a list',
    ],
    [
      { from: ['log:soon'] },
      'warm.jobs[0].from[0]: expected "log:" with a duration, such as "log:14d", got "log:soon"',
    ],
    [
      { platforms: ['all', 'linux/amd64'] },
      'warm.jobs[0].platforms: expected "all" alone, or platforms without it, got a list',
    ],
    [
      { platforms: ['amd64'] },
      'warm.jobs[0].platforms[0]: expected a platform such as "linux/amd64" or "linux/arm64/v8", or "all", got "amd64"',
    ],
    [
      { every: '1h' },
      'warm.jobs[0].every: unknown key (known here: name, schedule, from, platforms, pin)',
    ],
  ])('is refused with %j', async (wrong, problem) => {
    expect(await problemsOf({ warm: { jobs: [{ ...JOB, ...wrong }] } })).toEqual([problem])
  })

  it('is refused with two jobs of one name', async () => {
    expect(await problemsOf({ warm: { jobs: [JOB, JOB] } })).toEqual([
      'warm.jobs: expected a different name for each job, got a list',
    ])
  })
})

it('comes at the times of a schedule, strictly after the one that is given', () => {
  const reading = readSchedule('30 2 * * *')
  if (!('value' in reading)) throw new Error(reading.expected)
  const first = reading.value.next(Date.UTC(2026, 0, 10)) ?? 0
  const second = reading.value.next(first) ?? 0
  expect(new Date(first).getMinutes()).toBe(30)
  expect(new Date(second).getHours()).toBe(2)
  expect(second - first).toBe(86_400_000)
})
