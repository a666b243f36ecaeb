import { realpathSync } from 'node:fs'
import type { Command } from 'commander'
import type { Config } from '../config/config.ts'
import type { Operations } from '../core/operations.ts'
import { StartError } from '../core/start-error.ts'
import { createAdminClient } from './admin-client.ts'
import type { Context } from './context.ts'
import { getText } from './get-text.ts'
import { originOf } from './origin.ts'

const TIMEOUT_MS = 5_000
const ALIVE_MS = 60_000

/**
 * Runs the task over the mirror that runs with this configuration, or over its data directory if none does:
 * the directory's lock sees to it that it is never both. `filling`: the task brings content here, so that
 * there need not be a directory yet. Throws StartError.
 */
export async function withOperations<T>(
  context: Context,
  command: Command,
  task: (operations: Operations) => Promise<T>,
  purpose: 'looking' | 'filling' = 'looking',
): Promise<T> {
  const { config } = await context.load(command)
  const origin = await findMirror(config)
  if (origin !== undefined) return task(createAdminClient(origin))
  // Loaded here: asking a running mirror needs no database.
  const { openOperations } = await import('../wire.ts')
  const opened = await openOperations(config, purpose).catch((reason: unknown) => {
    throw explainLocked(reason, config)
  })
  // The mirror's clock keeps no process alive, and here nothing else may be under way while it sleeps.
  const alive = setInterval(() => {}, ALIVE_MS)
  try {
    return await task(opened.operations)
  } finally {
    clearInterval(alive)
    await opened.close()
  }
}

/** `undefined`: nothing listens there, or nothing is meant to. Throws StartError for another listener. */
async function findMirror({ admin, storage }: Config): Promise<string | undefined> {
  if (admin.listen === undefined) return undefined
  const origin = originOf(admin.listen)
  const data = await askStatus(origin)
  if (data === undefined) return undefined
  if (isSame(data, storage.dir)) return origin
  throw new StartError(
    `the mirror at ${origin} keeps its data in ${data}, this configuration says ${storage.dir}: name that mirror's configuration (-c), or give this one an admin.listen of its own`,
  )
}

async function askStatus(origin: string): Promise<string | undefined> {
  const signal = AbortSignal.timeout(TIMEOUT_MS)
  try {
    const { status, body } = await getText(`${origin}/api/v1/status`, {}, signal)
    const said = status === 200 ? (JSON.parse(body) as { name?: unknown; data?: unknown }) : {}
    if (said.name === 'oci-mirror' && typeof said.data === 'string') return said.data
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    if (code === 'ECONNREFUSED') return undefined
    // What answers, and not as a mirror does, is told below; so is what does not answer at all.
  }
  throw new StartError(
    `what listens at ${origin} does not answer as oci-mirror does: stop it, or change admin.listen`,
  )
}

function isSame(theirs: string, ours: string): boolean {
  try {
    return realpathSync(theirs) === realpathSync(ours)
  } catch {
    // One of them is not on this machine, or not there: then only the names can be compared.
    return theirs === ours
  }
}

/** The lock is taken although nobody answers: its holder's listener is elsewhere, or it has none. */
function explainLocked(reason: unknown, { admin, storage }: Config): unknown {
  if (!(reason instanceof StartError) || !/another oci-mirror/.test(reason.message)) return reason
  const where =
    admin.listen === undefined
      ? 'admin.listen is false'
      : `nothing answers at ${originOf(admin.listen)}`
  return new StartError(
    `a running oci-mirror has the data directory ${storage.dir}, but ${where}: name the configuration that it runs with (-c), or stop it`,
    { cause: reason },
  )
}
