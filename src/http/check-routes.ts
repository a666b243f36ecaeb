import type { Context, Hono } from 'hono'
import { MaintenanceError } from '../core/maintenance/maintenance-error.ts'
import { AdminBody } from './admin-body.ts'
import type { AdminDeps, AdminEnv } from './admin-deps.ts'

/** As many as the longest body holds. */
const MAX_REFERENCES = 100_000

/** What is here, and what of a list is. Nothing of it changes anything. */
export function addChecks(app: Hono<AdminEnv>, { operations: { check } }: AdminDeps): void {
  app.get('/api/v1/inventory', async (c) => c.json(await check.inventory()))
  app.get('/api/v1/served', async (c) => c.json(await check.served(readSince(c))))
  app.post('/api/v1/check', async (c) => {
    const body = AdminBody.parse(await c.req.text())
    const platforms = body.texts('platforms')
    const request = {
      images: body.images(),
      signatures: body.flag('signatures'),
      ...(platforms !== undefined && { platforms }),
    }
    body.end()
    return c.json(await check.check(request))
  })
  app.post('/api/v1/unlisted', async (c) => {
    const body = AdminBody.parse(await c.req.text())
    const references = body.references(0, MAX_REFERENCES)
    body.end()
    return c.json(await check.unlisted(references))
  })
}

function readSince(c: Context): number {
  const text = c.req.query('since') ?? ''
  if (/^\d{1,15}$/.test(text)) return Number(text)
  throw new MaintenanceError('invalid', 'the parameter "since" has to be a time in milliseconds')
}
