import type { Hono } from 'hono'
import type { WarmRequest } from '../core/airgap/warm-api.ts'
import { AdminBody } from './admin-body.ts'
import type { AdminDeps, AdminEnv } from './admin-deps.ts'
import { answerLines } from './ndjson.ts'

/** Warming, a line for each step. Whoever asked for it and leaves, stops it. */
export function addWarm(app: Hono<AdminEnv>, { operations, log }: AdminDeps): void {
  app.post('/api/v1/warm', async (c) => {
    const body = AdminBody.parse(await c.req.text())
    const request = readRequest(body)
    body.end()
    return answerLines('warm', log, async (onProgress, signal) => {
      const report = await operations.warm.warm(request, onProgress, signal)
      const { images, fetch, dryRun } = report
      const failed = images.filter(({ state }) => ['failed', 'absent', 'skipped'].includes(state))
      const counts = { images: images.length, failed: failed.length, bytes: fetch.bytes }
      log.info({ operation: 'warm', dryRun, ...counts }, 'ran maintenance')
      return report
    })
  })
}

function readRequest(body: AdminBody): WarmRequest {
  const platforms = body.texts('platforms')
  const referrers = body.choice('referrers')
  const jobs = body.number('jobs')
  return {
    images: body.images(),
    pin: body.flag('pin'),
    dryRun: body.flag('dryRun'),
    failFast: body.flag('failFast'),
    ...(platforms !== undefined && { platforms }),
    ...(referrers !== undefined && { referrers }),
    ...(jobs !== undefined && { jobs }),
  }
}
