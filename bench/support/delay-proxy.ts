import { fork } from 'node:child_process'
import { once } from 'node:events'

export interface DelayProxyRequest {
  readonly host: string
  readonly port: number
  /** Milliseconds: half of it in each direction. */
  readonly roundTripMs: number
}

/** A registry, seen from afar. */
export interface DelayProxy {
  /** `http://127.0.0.1:6002`: what answers at the target's URL answers here, later. */
  readonly url: string
  stop(): Promise<void>
}

/**
 * Puts a distance between its clients and `target` (`http://127.0.0.1:6000`), in a process of its own: every
 * byte takes half of the round trip each way, and a new connection one round trip more before its first
 * byte leaves. It adds nothing else: no limit of bandwidth, no slow start, no loss.
 */
export async function startDelayProxy(target: string, roundTripMs: number): Promise<DelayProxy> {
  const { hostname, port } = new URL(target)
  const request: DelayProxyRequest = { host: hostname, port: Number(port), roundTripMs }
  const script = new URL('./delay-proxy-process.ts', import.meta.url)
  const child = fork(script, [JSON.stringify(request)], { execArgv: [], stdio: 'inherit' })
  const exited = once(child, 'exit')
  const early = exited.then(([code]) => {
    throw new Error(`the delay proxy for ${target} ended with ${String(code)} as it started`)
  })
  const [opened] = (await Promise.race([once(child, 'message'), early])) as [number]
  // From here on its end is what `stop` asks for.
  early.catch(() => undefined)
  return {
    url: `http://127.0.0.1:${opened}`,
    stop: async () => {
      child.kill()
      await exited
    },
  }
}
