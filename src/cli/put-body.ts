import type { ClientRequest, IncomingMessage } from 'node:http'
import { request } from 'node:http'

/** Says that no form of a web page sent it: none can set a header of its own. */
const HEADERS = { 'content-type': 'application/octet-stream', 'oci-mirror-import': '1' }

/**
 * Sends `size` bytes once the mirror wants them, and resolves to its answer, which may come before that. A
 * chunk's memory is free again when the next one is asked for.
 */
export async function putBody(
  url: URL,
  size: number,
  body: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): Promise<IncomingMessage> {
  const answer = Promise.withResolvers<IncomingMessage>()
  const wanted = Promise.withResolvers<void>()
  const headers = { ...HEADERS, 'content-length': String(size), expect: '100-continue' }
  const sent = request(url, { method: 'PUT', headers, agent: false, signal })
  let isAnswered = false
  sent.on('response', (response) => {
    isAnswered = true
    answer.resolve(response)
    wanted.resolve()
  })
  sent.on('continue', () => wanted.resolve())
  sent.on('error', (reason) => {
    answer.reject(reason)
    wanted.resolve()
  })
  // Whoever sends learns it below.
  answer.promise.catch(() => {})
  sent.flushHeaders()
  await wanted.promise
  try {
    for await (const chunk of body) {
      if (isAnswered || sent.destroyed) break
      await write(sent, chunk)
    }
    if (!isAnswered) sent.end()
  } catch (reason) {
    // The mirror's answer says more than a connection that it has closed.
    if (!isAnswered) sent.destroy()
    if (!isAnswered && !sent.errored) throw reason
  }
  return answer.promise
}

async function write(sent: ClientRequest, chunk: Uint8Array): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  sent.write(chunk, (failure) => (failure ? reject(failure) : resolve()))
  await promise
}
