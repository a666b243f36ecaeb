import { Cron } from 'croner'
import type { Reading } from './reading.ts'
import { expected, read } from './reading.ts'

/** Times that come again and again. */
export interface Schedule {
  /** As it was written. */
  readonly text: string
  /** The first one after `time`, both in ms since the epoch; `undefined` if there is none any more. */
  next(time: number): number | undefined
}

export const SCHEDULE_FORMS =
  'a cron expression of five fields such as "0 2 * * *", or @hourly, @daily or @weekly'

/** The longest anyone writes is a list of minutes. */
const MAX_LENGTH = 200
const NICKNAMES = new Set(['@hourly', '@daily', '@weekly', '@monthly', '@yearly', '@annually'])

/** Minute, hour, day of the month, month, day of the week, in the time zone of the machine (TZ). */
export function readSchedule(text: string): Reading<Schedule> {
  const fields = text.trim().split(/\s+/).length
  // With a sixth field the library counts seconds: what looks like daily would run every minute.
  if (text.length > MAX_LENGTH || (fields !== 5 && !NICKNAMES.has(text.trim().toLowerCase()))) {
    return expected(SCHEDULE_FORMS)
  }
  try {
    const cron = new Cron(text.trim(), { paused: true })
    const next = (time: number) => cron.nextRun(new Date(time))?.getTime()
    return next(0) === undefined
      ? expected(`${SCHEDULE_FORMS}; this one never comes`)
      : read({ text: text.trim(), next })
  } catch {
    // Its own words are about its parser; ours say what to write.
    return expected(SCHEDULE_FORMS)
  }
}
