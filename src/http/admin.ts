import type { RequestListener } from 'node:http'
import { getRequestListener } from '@hono/node-server'
import type { Context } from 'hono'
import { Hono } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import type { Log } from '../core/log.ts'
import type { MaintenanceProblem } from '../core/maintenance/maintenance-error.ts'
import { MaintenanceError } from '../core/maintenance/maintenance-error.ts'
import { DigestMismatch, NoSpace } from '../core/ports.ts'
import type { AdminDeps, AdminEnv } from './admin-deps.ts'
import { AdminRefusal, checkHost, checkMutation, checkSite } from './admin-guard.ts'
import { addChanges, addLists } from './admin-routes.ts'
import { addChecks } from './check-routes.ts'
import { addExports } from './export-routes.ts'
import { addWarm } from './warm-routes.ts'
import { addImports } from './import-routes.ts'

/** A thousand references of the greatest length. */
const MAX_BODY_BYTES = 1024 * 1024

/** Fifty thousand images of the usual length, and where each is written. */
const MAX_LIST_BYTES = 16 * 1024 * 1024
const LISTS: ReadonlySet<string> = new Set([
  '/api/v1/warm',
  '/api/v1/check',
  '/api/v1/unlisted',
  '/api/v1/export',
])

const STATUS = { invalid: 400, unknown: 404, ambiguous: 409, refused: 409, busy: 409 } as const

/** What the second listener answers. Nothing of it is on the port that clients use. */
export function createAdmin(deps: AdminDeps): RequestListener {
  const app = new Hono<AdminEnv>()
  app.use(async (c, next) => {
    const { incoming } = c.env
    checkHost(incoming, deps.names)
    if (c.req.path.startsWith('/api/')) checkSite(incoming)
    if (incoming.method !== 'GET' && incoming.method !== 'HEAD') checkMutation(incoming)
    await next()
    c.header('cache-control', 'no-store')
  })
  addImports(app, deps)
  const ordinary = limitBody(MAX_BODY_BYTES)
  const long = limitBody(MAX_LIST_BYTES)
  app.use((c, next) => (LISTS.has(c.req.path) ? long(c, next) : ordinary(c, next)))
  app.get('/healthz', (c) => c.text('ok\n'))
  app.get('/metrics', async (c) => {
    const { contentType, body } = await deps.metrics()
    return c.body(body, 200, { 'content-type': contentType })
  })
  app.get('/api/v1/status', (c) => c.json({ name: 'oci-mirror', data: deps.data }))
  addLists(app, deps)
  addChanges(app, deps)
  addChecks(app, deps)
  addExports(app, deps)
  addWarm(app, deps)
  app.notFound((c) => {
    return problem(c, 404, 'there is nothing here: /healthz, /metrics and /api/v1/… are')
  })
  app.onError((reason, c) => answerError(reason, c, deps.log))
  const listener = getRequestListener(app.fetch, {
    overrideGlobalObjects: false,
    hostname: 'localhost',
  })
  return (incoming, outgoing) => {
    // It answers every failure itself; a rejection would be a fault of the adapter.
    void listener(incoming, outgoing)
  }
}

function limitBody(maxSize: number) {
  return bodyLimit({
    maxSize,
    onError: (c) => problem(c, 413, `the body is larger than ${maxSize} bytes`),
  })
}

function answerError(reason: Error, c: Context<AdminEnv>, log: Log): Response {
  if (reason instanceof MaintenanceError) {
    return problem(c, STATUS[reason.problem], reason.message, reason.problem)
  }
  if (reason instanceof AdminRefusal) return problem(c, reason.status, reason.message)
  if (reason instanceof DigestMismatch) return problem(c, 422, reason.message, 'mismatch')
  if (reason instanceof NoSpace) return problem(c, 507, reason.message, 'no-space', reason.kind)
  log.error({ error: reason }, 'failed to answer admin request')
  return problem(c, 500, `the mirror failed: ${reason.message}; its log has more`)
}

/** RFC 9457, with our own word for the kind of problem. */
function problem(
  c: Context,
  status: 400 | 403 | 404 | 409 | 413 | 415 | 422 | 500 | 507,
  detail: string,
  kind?: MaintenanceProblem | 'mismatch' | 'no-space',
  lack?: NoSpace['kind'],
): Response {
  const told = { status, detail, ...(kind && { problem: kind }), ...(lack && { kind: lack }) }
  const body = JSON.stringify(told)
  return c.body(`${body}\n`, status, { 'content-type': 'application/problem+json' })
}
