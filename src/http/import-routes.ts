import type { Context, Hono } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import type { CommitRequest, ImportOffer } from '../core/airgap/import-api.ts'
import { MaintenanceError } from '../core/maintenance/maintenance-error.ts'
import { parseDigest } from '../oci/digest.ts'
import { parseJson } from '../oci/json.ts'
import type { AdminDeps, AdminEnv } from './admin-deps.ts'
import { readCommit, readOffer } from './import-body.ts'
import { inPortions, Portions } from './in-portions.ts'

/** What the largest header of a bundle makes of itself. */
const MAX_BODY_BYTES = 64 * 1024 * 1024

const MAX_SESSION = 100

/** Taking in what was carried here. Has to be added before the limit on the bodies of other requests. */
export function addImports(app: Hono<AdminEnv>, { operations: { imports }, log }: AdminDeps): void {
  const portions = new Portions()
  const limit = bodyLimit({
    maxSize: MAX_BODY_BYTES,
    onError: () => {
      throw new MaintenanceError('invalid', `the body is larger than ${MAX_BODY_BYTES} bytes`)
    },
  })
  app.post('/api/v1/import/plan', limit, async (c) => {
    const offer: ImportOffer = readOffer(await readBody(c))
    return c.json(await imports.plan(offer))
  })
  app.post('/api/v1/import/commit', limit, async (c) => {
    const request: CommitRequest = readCommit(await readBody(c))
    const report = await imports.commit(request)
    const committed = report.images.filter(({ state }) => state === 'committed').length
    log.info({ operation: 'import', bundle: request.origin.name, committed }, 'ran maintenance')
    return c.json(report)
  })
  app.put('/api/v1/import/blob', async (c) => {
    const { incoming, outgoing } = c.env
    const blob = readBlob(c)
    const gone = new AbortController()
    const leave = () => gone.abort(new Error('whoever sent the blob has left'))
    outgoing.once('close', leave)
    try {
      await imports.put(blob, wantedBody(c, blob.size, portions), gone.signal)
    } finally {
      outgoing.off('close', leave)
      // What is left of a body that was refused half-way is of no use to anyone.
      incoming.resume()
    }
    return c.json({})
  })
}

/** Whoever waits for our word is told to send it when it is wanted: not where there is no room for it. */
async function* wantedBody(
  { env }: Context<AdminEnv>,
  size: number,
  portions: Portions,
): AsyncGenerator<Uint8Array> {
  const { incoming, outgoing } = env
  if (/^100-continue$/i.test(incoming.headers.expect ?? '')) outgoing.writeContinue()
  yield* inPortions(incoming, size, portions)
}

function readBlob(c: Context<AdminEnv>) {
  const digest = parseDigest(c.req.query('digest') ?? '')
  if (digest === undefined) {
    throw new MaintenanceError('invalid', 'the parameter "digest" has to be a digest')
  }
  const length = c.req.header('content-length') ?? ''
  if (!/^[0-9]{1,16}$/.test(length) || !Number.isSafeInteger(Number(length))) {
    throw new MaintenanceError('invalid', 'a blob is sent with its Content-Length')
  }
  const session = c.req.query('session')
  if (session === undefined || session === '' || session.length > MAX_SESSION) {
    throw new MaintenanceError('invalid', 'the parameter "session" is missing')
  }
  const bundle = c.req.query('bundle')
  if (bundle !== undefined && parseDigest(bundle) === undefined) {
    throw new MaintenanceError('invalid', 'the parameter "bundle" has to be the id of a bundle')
  }
  return { digest, size: Number(length), session, ...(bundle !== undefined && { bundle }) }
}

async function readBody(c: Context<AdminEnv>): Promise<unknown> {
  try {
    return parseJson(new Uint8Array(await c.req.arrayBuffer()))
  } catch (cause) {
    if (cause instanceof MaintenanceError) throw cause
    const said = cause instanceof Error ? cause.message : String(cause)
    throw new MaintenanceError('invalid', `the body is not JSON: ${said}`)
  }
}
