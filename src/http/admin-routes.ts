import type { Context, Hono } from 'hono'
import type { ListQuery } from '../core/maintenance/maintenance-api.ts'
import { MaintenanceError } from '../core/maintenance/maintenance-error.ts'
import { AdminBody } from './admin-body.ts'
import type { AdminDeps, AdminEnv } from './admin-deps.ts'
import { answerLines } from './ndjson.ts'

/** What only looks. */
export function addLists(app: Hono<AdminEnv>, { operations: { maintenance } }: AdminDeps): void {
  app.get('/api/v1/stats', async (c) => c.json(await maintenance.stats()))
  app.get('/api/v1/images', async (c) => c.json(await maintenance.images(readQuery(c))))
  app.get('/api/v1/repositories', async (c) => c.json(await maintenance.repositories(readQuery(c))))
  app.get('/api/v1/blobs', async (c) => c.json(await maintenance.blobs(readQuery(c))))
  app.get('/api/v1/image', async (c) => c.json(await maintenance.show(readReference(c))))
  app.get('/api/v1/history', async (c) => c.json(await maintenance.history(readReference(c))))
}

/** What changes something: each is logged, because it may be asked why content has gone. */
export function addChanges(app: Hono<AdminEnv>, deps: AdminDeps): void {
  const { operations, log } = deps
  const { maintenance } = operations
  addChange(app, deps, 'rm', (body) => {
    const request = readImages(body)
    const dryRun = body.flag('dryRun')
    return () => maintenance.remove({ ...request, dryRun })
  })
  addChange(app, deps, 'pin', (body) => {
    const request = readImages(body)
    return () => maintenance.pin(request)
  })
  addChange(app, deps, 'unpin', (body) => {
    const request = readImages(body)
    return () => maintenance.unpin(request)
  })
  addChange(app, deps, 'hold', (body) => {
    const reference = body.reference()
    return () => maintenance.hold(reference)
  })
  addChange(app, deps, 'release', (body) => {
    const reference = body.reference()
    return () => maintenance.release(reference)
  })
  addChange(app, deps, 'gc', (body) => {
    const dryRun = body.flag('dryRun')
    return () => maintenance.gc(dryRun)
  })
  app.post('/api/v1/verify', async (c) => {
    const body = AdminBody.parse(await c.req.text())
    const rate = body.number('rate')
    const request = {
      references: body.references(0),
      repair: body.flag('repair'),
      restart: body.flag('restart'),
      ...(rate !== undefined && { rate }),
    }
    body.end()
    return answerLines('verify', log, async (onProgress, signal) => {
      const report = await maintenance.verify(request, onProgress, signal)
      log.info({ operation: 'verify', findings: report.findings }, 'ran maintenance')
      return report
    })
  })
}

function addChange(
  app: Hono<AdminEnv>,
  { log }: AdminDeps,
  operation: string,
  read: (body: AdminBody) => () => Promise<object>,
): void {
  app.post(`/api/v1/${operation}`, async (c) => {
    const text = await c.req.text()
    const body = AdminBody.parse(text)
    const run = read(body)
    body.end()
    const report = await run()
    const isPlan = 'dryRun' in report && report.dryRun === true
    if (!isPlan) log.info({ operation, request: text }, 'ran maintenance')
    return c.json(report)
  })
}

function readImages(body: AdminBody) {
  return { references: body.references(1), all: body.flag('all') }
}

function readQuery(c: Context): ListQuery {
  const { glob, after } = c.req.query()
  return { ...(glob !== undefined && { glob }), ...(after !== undefined && { after }) }
}

function readReference(c: Context): string {
  const reference = c.req.query('reference')
  if (reference !== undefined) return reference
  throw new MaintenanceError('invalid', 'the parameter "reference" is missing')
}
