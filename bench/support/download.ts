import { fork } from 'node:child_process'
import { once } from 'node:events'

export interface DownloadRequest {
  readonly url: string
  /** What the answer has to have, in bytes. */
  readonly size: number
  /** At the same time, each on a connection of its own. */
  readonly clients: number
  /** One after another, by each client. */
  readonly times: number
  /** What is not there then is given up. */
  readonly deadlineMs: number
  /** Whether the bytes are hashed, which takes longer than to receive them. */
  readonly hashed: boolean
}

/** What the clients saw. Times are in milliseconds. */
export interface DownloadResult {
  /** From the start until the last client had everything, or the deadline. */
  readonly totalMs: number
  readonly receivedBytes: number
  /** Of each download's body, since its connection was opened; fewer than downloads if some had none. */
  readonly firstBytesMs: readonly number[]
  /** Downloads that were not complete by the deadline. */
  readonly unfinished: number
  readonly digests: readonly string[]
}

export type DownloadMessage =
  | { readonly kind: 'done'; readonly result: DownloadResult }
  /** Some client got something wrong. */
  | { readonly kind: 'failed'; readonly reason: string }

const DEADLINE_MS = 120_000

/**
 * Downloads a blob and discards it, in a process of its own, so that what the clients cost is nobody's.
 * Rejects if an answer was not 200, or had not the length that it should have.
 */
export async function download(
  url: string,
  size: number,
  options: Partial<Omit<DownloadRequest, 'url' | 'size'>> = {},
): Promise<DownloadResult> {
  const defaults = { clients: 1, times: 1, deadlineMs: DEADLINE_MS, hashed: false }
  const request: DownloadRequest = { ...defaults, ...options, url, size }
  const script = new URL('./download-process.ts', import.meta.url)
  const child = fork(script, [JSON.stringify(request)], { execArgv: [], stdio: 'inherit' })
  const exited = once(child, 'exit')
  const told = once(child, 'message') as Promise<[DownloadMessage]>
  const answer = await Promise.race([told, exited.then(() => undefined)])
  await exited
  if (answer === undefined) throw new Error('the process of the clients ended early')
  const [message] = answer
  if (message.kind === 'failed') throw new Error(message.reason)
  return message.result
}

/** Throws unless the peer gives the bytes of that digest. */
export async function verify(url: string, size: number): Promise<void> {
  const { digests } = await download(url, size, { hashed: true })
  const wanted = url.slice(url.lastIndexOf('/') + 1)
  if (digests[0] !== wanted) throw new Error(`the content of ${wanted} is ${digests[0]}`)
}
