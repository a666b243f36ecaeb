import { createHash } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { Agent, request } from 'node:http'

/** An answer that is no content: its status is the reason. */
class Refused extends Error {
  override readonly name = 'Refused'
}

export interface Pulled {
  readonly bytes: Buffer
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>
}

interface PullOptions {
  readonly method?: 'GET' | 'HEAD'
  readonly range?: string
  /** Milliseconds to rest after each piece of 64 KiB or so. */
  readonly pace?: number
  /** Hangs up after so many bytes. */
  readonly leaveAfter?: number
}

/** Longer than the mirror may take for anything: what takes so long hangs. */
const HANGS_MS = 60_000

/** One client with connections of its own, as an engine has. */
export class Puller {
  readonly #url: string
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 4 })

  constructor(url: string) {
    this.#url = url
  }

  /** Throws Refused for any other status than 200 and 206, and for an answer that ends short. */
  async pull(path: string, options: PullOptions = {}): Promise<Pulled> {
    const { method = 'GET', range, pace, leaveAfter = Infinity } = options
    const response = await this.#ask(path, method, range)
    const chunks: Buffer[] = []
    let received = 0
    for await (const chunk of response as AsyncIterable<Buffer>) {
      chunks.push(chunk)
      received += chunk.length
      if (received >= leaveAfter) break
      if (pace !== undefined) await new Promise((resolve) => setTimeout(resolve, pace))
    }
    const { statusCode = 0, headers } = response
    const bytes = Buffer.concat(chunks)
    if (statusCode === 200 || statusCode === 206) return { bytes, headers }
    throw new Refused(`${method} ${path}: ${statusCode} ${bytes.toString('utf8', 0, 300)}`)
  }

  close(): void {
    this.#agent.destroy()
  }

  #ask(path: string, method: string, range: string | undefined): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const headers = range === undefined ? {} : { range }
      const signal = AbortSignal.timeout(HANGS_MS)
      request(`${this.#url}${path}`, { method, headers, agent: this.#agent, signal }, resolve)
        .on('error', (cause) => reject(new Refused(`${method} ${path}: ${cause.message}`)))
        .end()
    })
  }
}

export function digestOfBytes(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`
}
