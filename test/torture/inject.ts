import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'

const ATTACH_MS = 300
const STRACE = 'strace'

export interface Injection {
  /** Resolves when the traced process has gone. */
  readonly ended: Promise<unknown>
}

export async function canInject(): Promise<boolean> {
  try {
    await promisify(execFile)(STRACE, ['-V'])
    return true
  } catch {
    // Not installed: the rounds go on without failing calls.
    return false
  }
}

/** Every ninth of these calls of the process fails from now on: `rename:EIO`. Ends with the process. */
export async function injectFailures(pid: number, call: string): Promise<Injection> {
  const [name = '', code = ''] = call.split(':')
  const args = ['-f', '-qq', '-p', String(pid), '-o', '/dev/null', '-e', `trace=${name}`]
  const inject = ['-e', `inject=${name}:error=${code}:when=3+9`]
  const tracer = spawn(STRACE, [...args, ...inject], { stdio: 'ignore' })
  const ended = once(tracer, 'close')
  await sleep(ATTACH_MS)
  return { ended }
}
