import * as z from 'zod'
import { parsePlatform } from '../oci/platform.ts'
import { readDuration } from './duration.ts'
import type { Reading } from './reading.ts'
import { expected, read } from './reading.ts'
import { readSchedule, SCHEDULE_FORMS } from './schedule.ts'
import { text } from './text.ts'

const PLATFORM_FORMS = 'a platform such as "linux/amd64" or "linux/arm64/v8", or "all"'
const NAME_FORMS = 'a name of letters, digits, "-" and "_", at most 40'
const SOURCE_FORMS = 'the path of a file or folder, "log:14d", or an image'
const LOG_PREFIX = 'log:'

/** What a job warms: `log:14d` for what was served within that time, else a path or an image. */
export type JobSource = { readonly servedWithin: number } | { readonly input: string }

const platforms = () =>
  z
    .array(
      text(PLATFORM_FORMS, (given) =>
        given === 'all' || parsePlatform(given) !== undefined
          ? read(given)
          : expected(PLATFORM_FORMS),
      ),
    )
    .min(1, { error: 'expected at least one platform' })
    .refine((list) => list.length === 1 || !list.includes('all'), {
      error: 'expected "all" alone, or platforms without it',
    })

const job = z.strictObject({
  name: text(NAME_FORMS, (given) =>
    /^[A-Za-z0-9][\w-]{0,39}$/.test(given) ? read(given) : expected(NAME_FORMS),
  ),
  schedule: text(SCHEDULE_FORMS, readSchedule),
  from: z
    .array(text(SOURCE_FORMS, readSource))
    .min(1, { error: `expected at least one of ${SOURCE_FORMS}` }),
  platforms: platforms().optional(),
  pin: z.boolean().default(false),
})

export const warmSettings = z.strictObject({
  platforms: platforms().optional(),
  referrers: z.boolean().default(true),
  jobs: z
    .array(job)
    .default([])
    .refine((jobs) => new Set(jobs.map(({ name }) => name)).size === jobs.length, {
      error: 'expected a different name for each job',
    }),
})

function readSource(given: string): Reading<JobSource> {
  if (given === '' || given.includes('\0')) return expected(SOURCE_FORMS)
  if (!given.startsWith(LOG_PREFIX)) return read({ input: given })
  const within = readDuration(given.slice(LOG_PREFIX.length))
  return 'value' in within
    ? read({ servedWithin: within.value })
    : expected('"log:" with a duration, such as "log:14d"')
}
