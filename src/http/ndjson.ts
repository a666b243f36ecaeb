import type { Log } from '../core/log.ts'
import { MaintenanceError } from '../core/maintenance/maintenance-error.ts'

/** Lines that wait for whoever asked. */
const MAX_WAITING = 1_000

/**
 * Answers with one JSON object a line, because it may take hours: `progress`, and at the end `report` or
 * `error`. The task is stopped when whoever asked for it leaves. `operation` is what logs call it.
 */
export function answerLines(
  operation: string,
  log: Log,
  task: (onProgress: (progress: object) => void, signal: AbortSignal) => Promise<object>,
): Response {
  const stopped = new AbortController()
  const encoder = new TextEncoder()
  const body = new ReadableStream<Uint8Array>(
    {
      async start(controller) {
        const send = (line: object) => {
          if (!stopped.signal.aborted)
            controller.enqueue(encoder.encode(`${JSON.stringify(line)}\n`))
        }
        // Whoever does not read them need not be told of every step: hours of them would pile up.
        const tell = (progress: object) => {
          if ((controller.desiredSize ?? 0) > 0) send({ progress })
        }
        try {
          send({ report: await task(tell, stopped.signal) })
        } catch (reason) {
          // The head has been sent: the last line is where a failure can be told.
          const detail = reason instanceof Error ? reason.message : String(reason)
          const isOurs = reason instanceof MaintenanceError
          send({ error: { detail, ...(isOurs && { problem: reason.problem }) } })
          const isUnforeseen = !isOurs && !stopped.signal.aborted
          if (isUnforeseen) log.error({ operation, error: reason }, 'failed to run maintenance')
        }
        if (!stopped.signal.aborted) controller.close()
      },
      cancel() {
        stopped.abort(new Error('whoever asked for it has left'))
      },
    },
    { highWaterMark: MAX_WAITING },
  )
  return new Response(body, { headers: { 'content-type': 'application/x-ndjson' } })
}
