import type { Answer } from './registry-client.ts'
import type { Reply } from './reply.ts'
import { statusFailure } from './status-failure.ts'
import { UpstreamFailure } from '../core/upstream-failure.ts'

/** An error body of the specification is a few hundred bytes. */
const MAX_ERROR_BYTES = 64 * 1024
const READ_MS = 5_000

/**
 * Resolves if a 404 is the registry's own "no such thing", in a body as the specification has it, and
 * throws otherwise: a captive portal's or a load balancer's 404 says nothing about the image.
 */
export async function confirmGone({ reply }: Answer): Promise<undefined> {
  if (await hasErrorBody(reply)) return undefined
  throw misbehaved(reply, 'answered 404, but not as a registry does')
}

/** Whether the body is an error of the specification. Reads it. */
export async function hasErrorBody(reply: Reply): Promise<boolean> {
  const body = await reply.read(MAX_ERROR_BYTES, READ_MS)
  return body !== undefined && isErrorBody(body)
}

/** For every status that the caller has no use for. */
export async function refusal({ reply, isOwn }: Answer, now: number): Promise<UpstreamFailure> {
  await reply.discard()
  const failure = statusFailure(reply, now, 'access is refused; check the credentials and the name')
  if (isOwn || failure.kind !== 'denied') return failure
  // The registry let us in and its storage did not: that says nothing about our credentials.
  return misbehaved(reply, `answered ${reply.status}, although the registry redirected us there`)
}

export function misbehaved(reply: Reply, reason: string, cause?: unknown): UpstreamFailure {
  return new UpstreamFailure('misbehaved', `${reply.what}: ${reason}`, { cause })
}

function isErrorBody(body: Uint8Array): boolean {
  try {
    const value: unknown = JSON.parse(Buffer.from(body).toString())
    return typeof value === 'object' && value !== null && 'errors' in value
      ? Array.isArray(value.errors)
      : false
  } catch {
    // Not JSON, so not a registry's.
    return false
  }
}
