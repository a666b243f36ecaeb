import { get as getPlain } from 'node:http'
import { get as getSecure } from 'node:https'

export interface TextAnswer {
  readonly status: number
  /** By lower-case name. */
  readonly headers: ReadonlyMap<string, string>
  readonly body: string
}

/** More than any error of a registry; what comes after it is nobody's business here. */
const MAX_BODY_BYTES = 64 * 1024

/**
 * One GET over a connection of its own, which is closed after it. Redirects are answers. `body` is the first
 * 64 KiB at most. Rejects with what Node says, or as the signal does.
 */
export async function getText(
  url: string,
  headers: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<TextAnswer> {
  const get = url.startsWith('https:') ? getSecure : getPlain
  const { promise, resolve, reject } = Promise.withResolvers<TextAnswer>()
  get(url, { agent: false, headers, signal }, (response) => {
    const { statusCode: status = 0, headersDistinct } = response
    const headers = new Map(
      Object.entries(headersDistinct).map(([name, values = []]) => [name, values.join(', ')]),
    )
    void readStart(response).then((body) => resolve({ status, headers, body }), reject)
  }).on('error', reject)
  return promise
}

async function readStart(response: AsyncIterable<Buffer>): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of response) {
    chunks.push(chunk)
    size += chunk.length
    if (size >= MAX_BODY_BYTES) break
  }
  return Buffer.concat(chunks).subarray(0, MAX_BODY_BYTES).toString()
}
