import type { Reply } from './reply.ts'

/** What a registry says about how much more it will give us: Docker Hub, in `ratelimit-*` headers. */
export interface RateLimit {
  /** Pulls in all and left, in the window. */
  readonly limit: number
  readonly remaining: number
  /** Seconds; `undefined` if it does not say. */
  readonly window: number | undefined
}

/** `100;w=21600`: 100 in six hours. */
const QUOTA = /^(\d{1,9})(?:\s*;\s*w=(\d{1,9}))?/

/** `undefined` unless it states both what there is and what is left. */
export function readRateLimit(reply: Pick<Reply, 'header'>): RateLimit | undefined {
  const all = QUOTA.exec(reply.header('ratelimit-limit') ?? '')
  const left = QUOTA.exec(reply.header('ratelimit-remaining') ?? '')
  if (all === null || left === null) return undefined
  const window = all[2] ?? left[2]
  return {
    limit: Number(all[1]),
    remaining: Number(left[1]),
    window: window === undefined ? undefined : Number(window),
  }
}
