import type { Log } from '../core/log.ts'
import type { UpstreamEvent } from '../core/upstream-state.ts'

/** One line for each change that a person wants to know of; an outage that goes on repeats nothing. */
export function logUpstream(log: Log, event: UpstreamEvent): void {
  if (event.what === 'saving') {
    const { what: _, isSaving, ...fields } = event
    if (isSaving) log.warn(fields, 'reached rate limit reserve')
    else log.info(fields, 'left rate limit reserve')
    return
  }
  const { what: _, from, to, until, ...fields } = event
  if (to === 'closed') log.info(fields, 'closed circuit')
  else if (to === 'half-open') log.debug(fields, 'tried circuit')
  else {
    const opened = {
      ...fields,
      ...(until !== undefined && { until: new Date(until).toISOString() }),
    }
    if (from === 'closed') log.warn(opened, 'opened circuit')
    else log.debug(opened, 'reopened circuit')
  }
}
