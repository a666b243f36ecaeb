import type { Command } from 'commander'
import type { Context } from './context.ts'
import { getText } from './get-text.ts'
import { originOf } from './origin.ts'

const TIMEOUT_MS = 3000

export function addHealthcheck(program: Command, context: Context): void {
  program
    .command('healthcheck')
    .description('ask the running mirror whether it is ready; exit code 0 or 1')
    .action(async (_options: object, command: Command) => {
      const { stdout, stderr } = context.terminal
      const { config } = await context.load(command)
      const url = `${originOf(config.server.listen)}/readyz`
      const fault = await findFault(url)
      if (fault === undefined) {
        stdout.write('ready\n')
        return
      }
      stderr.write(`not ready: ${url}: ${fault}\n`)
      context.exitCode = 1
    })
}

/** Why it is not ready, or nothing. */
export async function findFault(url: string): Promise<string | undefined> {
  const signal = AbortSignal.timeout(TIMEOUT_MS)
  try {
    const { status, body } = await getText(url, {}, signal)
    return status === 200 ? undefined : `answered ${status}: ${body.slice(0, 200).trim()}`
  } catch (error) {
    // Every failure is the answer to the question.
    if (signal.aborted) return `no answer within ${TIMEOUT_MS / 1000} s`
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    if (code === 'ECONNREFUSED') return 'nothing listens there'
    return error instanceof Error ? error.message : String(error)
  }
}
