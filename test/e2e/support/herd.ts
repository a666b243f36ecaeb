import { fork } from 'node:child_process'
import { once } from 'node:events'

/** What the process of the clients tells. */
export type HerdMessage =
  /** The first client has left, and every other one has had its first byte. */
  | { readonly kind: 'streaming' }
  /** What each client that stayed has received. */
  | { readonly kind: 'done'; readonly digests: readonly string[] }

export interface HerdRequest {
  readonly url: string
  readonly clients: number
  /** After so many bytes the first client hangs up. */
  readonly leavesAfter: number
}

/** Many clients of one URL, in a process of their own. */
export interface Herd {
  readonly streaming: Promise<void>
  readonly digests: Promise<readonly string[]>
  stop(): Promise<void>
}

export function startHerd(request: HerdRequest): Herd {
  const script = new URL('./herd-process.ts', import.meta.url)
  const child = fork(script, [JSON.stringify(request)], { execArgv: [], stdio: 'inherit' })
  const streaming = Promise.withResolvers<void>()
  const digests = Promise.withResolvers<readonly string[]>()
  child.on('message', (message: HerdMessage) => {
    if (message.kind === 'streaming') streaming.resolve()
    else digests.resolve(message.digests)
  })
  const exited = once(child, 'exit')
  child.on('exit', () => {
    const early = new Error('the clients ended before they had their content')
    streaming.reject(early)
    digests.reject(early)
  })
  // Whoever awaits them sees the failure; a test that failed before must not fail twice.
  for (const { promise } of [streaming, digests]) promise.catch(() => undefined)
  return {
    streaming: streaming.promise,
    digests: digests.promise,
    stop: async () => {
      child.kill()
      await exited
    },
  }
}
