import type { IncomingMessage } from 'node:http'
import { get } from 'node:http'
import { text } from 'node:stream/consumers'
import type { Command } from 'commander'
import type { ListenAddress } from '../config/config.ts'
import { formatListenAddress } from '../config/listen-address.ts'
import type { Context } from './context.ts'

const TIMEOUT_MS = 3000

export function addHealthcheck(program: Command, context: Context): void {
  program
    .command('healthcheck')
    .description('ask the running mirror whether it is ready; exit code 0 or 1')
    .action(async (_options: object, command: Command) => {
      const { stdout, stderr } = context.terminal
      const { config } = await context.load(command)
      const url = `http://${formatListenAddress(reachable(config.server.listen))}/readyz`
      const fault = await findFault(url)
      if (fault === undefined) {
        stdout.write('ready\n')
        return
      }
      stderr.write(`not ready: ${url}: ${fault}\n`)
      context.exitCode = 1
    })
}

/** What listens on every interface is asked on the loopback one. */
function reachable({ host, port }: ListenAddress): ListenAddress {
  if (host === '' || host === '0.0.0.0') return { host: '127.0.0.1', port }
  return host === '::' ? { host: '::1', port } : { host, port }
}

/** Why it is not ready, or nothing. */
async function findFault(url: string): Promise<string | undefined> {
  const signal = AbortSignal.timeout(TIMEOUT_MS)
  try {
    const { status, body } = await ask(url, signal)
    return status === 200 ? undefined : `answered ${status}: ${body.slice(0, 200).trim()}`
  } catch (error) {
    // Every failure is the answer to the question.
    if (signal.aborted) return `no answer within ${TIMEOUT_MS / 1000} s`
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    if (code === 'ECONNREFUSED') return 'nothing listens there'
    return error instanceof Error ? error.message : String(error)
  }
}

async function ask(
  url: string,
  signal: AbortSignal,
): Promise<{ readonly status: number | undefined; readonly body: string }> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
  get(url, { agent: false, signal }, resolve).on('error', reject)
  const response = await promise
  return { status: response.statusCode, body: await text(response) }
}
