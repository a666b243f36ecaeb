import type { Context, Hono } from 'hono'
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import type { ExportRequest } from '../core/airgap/export-api.ts'
import { MaintenanceError } from '../core/maintenance/maintenance-error.ts'
import { parseDigest } from '../oci/digest.ts'
import { AdminBody } from './admin-body.ts'
import type { AdminDeps, AdminEnv } from './admin-deps.ts'

/** As many as the longest body holds. */
const MAX_REFERENCES = 100_000

/** What is carried away: the plan, and each blob of it by its digest. */
export function addExports(app: Hono<AdminEnv>, deps: AdminDeps): void {
  app.post('/api/v1/export', async (c) => {
    const body = AdminBody.parse(await c.req.text())
    const request = readRequest(body)
    body.end()
    return c.json(await deps.operations.exports.plan(request))
  })
  app.get('/api/v1/blob', (c) => sendBlob(c, deps))
}

function readRequest(body: AdminBody): ExportRequest {
  const usedSince = body.number('usedSince')
  const platforms = body.texts('platforms')
  return {
    references: body.references(0, MAX_REFERENCES),
    all: body.flag('all'),
    pinned: body.flag('pinned'),
    referrers: body.flag('referrers'),
    dryRun: body.flag('dryRun'),
    ...(usedSince !== undefined && { usedSince }),
    ...(platforms !== undefined && { platforms }),
  }
}

async function sendBlob(c: Context<AdminEnv>, { operations, log }: AdminDeps): Promise<Response> {
  const digest = parseDigest(c.req.query('digest') ?? '')
  if (digest === undefined) {
    throw new MaintenanceError('invalid', 'the parameter "digest" has to be a digest')
  }
  const start = Number(c.req.query('start') ?? 0)
  if (!Number.isSafeInteger(start) || start < 0) {
    throw new MaintenanceError('invalid', 'the parameter "start" has to be a number of bytes')
  }
  const { outgoing } = c.env
  const left = new AbortController()
  const leave = () => left.abort(new Error('whoever asked for it has left'))
  outgoing.once('close', leave)
  const { size, body } = await operations.exports.read(digest, start, left.signal)
  outgoing.writeHead(200, {
    'content-type': 'application/octet-stream',
    'content-length': Math.max(0, size - start),
    'cache-control': 'no-store',
  })
  try {
    for await (const chunk of body) await write(chunk, outgoing, left.signal)
    outgoing.off('close', leave)
    outgoing.end()
  } catch (reason) {
    // The head has been sent: a body that ends too early is the only way to tell.
    if (!left.signal.aborted) log.error({ error: reason, digest }, 'failed to give out blob')
    outgoing.destroy()
  }
  return RESPONSE_ALREADY_SENT
}

/** Resolves when the chunk is with the system: its memory is reused for the next one. */
async function write(
  chunk: Uint8Array,
  outgoing: AdminEnv['Bindings']['outgoing'],
  signal: AbortSignal,
): Promise<void> {
  signal.throwIfAborted()
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const leave = () => reject(signal.reason)
  signal.addEventListener('abort', leave, { once: true })
  outgoing.write(chunk, (failure) => (failure ? reject(failure) : resolve()))
  try {
    await promise
  } finally {
    signal.removeEventListener('abort', leave)
  }
}
