import { formatReference } from '../oci/reference.ts'
import { MANIFEST_ACCEPT } from '../oci/media-types.ts'
import type { Hop } from '../probe/hop.ts'
import type { Found } from '../probe/probe.ts'
import type { TextAnswer } from './get-text.ts'
import { getText } from './get-text.ts'

/** Longer than the mirror takes to give up on an upstream. */
const TIMEOUT_MS = 25_000

/** What a running mirror says to the reference whose manifest upstream has. `url` has no slash at its end. */
export async function askMirror(url: string, found: Found): Promise<Hop> {
  const { repository, reference } = found
  const path = `${repository.upstream}/${repository.name}/manifests/${formatReference(reference)}`
  const started = performance.now()
  const name = 'mirror'
  const signal = AbortSignal.timeout(TIMEOUT_MS)
  try {
    // By GET: a refusal explains itself in its body only.
    const response = await getText(`${url}/v2/${path}`, { accept: MANIFEST_ACCEPT }, signal)
    const ms = Math.round(performance.now() - started)
    return { name, ms, ...judge(url, response, found) }
  } catch (error) {
    // No answer is an answer to the question.
    const ms = Math.round(performance.now() - started)
    const advice = 'see that the mirror runs, and that this is its URL (--server)'
    return { name, outcome: 'failed', ms, text: `${url}: ${reasonOf(error, signal)}`, advice }
  }
}

function judge(
  url: string,
  { status, headers, body }: TextAnswer,
  found: Found,
): Pick<Hop, 'outcome' | 'text' | 'advice'> {
  if (status !== 200) {
    const detail = detailOf(body)
    const text = `${url} answers ${status}${detail === '' ? '' : `: ${detail}`}`
    const advice =
      found.digest === undefined && status === 404
        ? 'bring it there: `oci-mirror import`'
        : 'see the log of the mirror for this request'
    return { outcome: 'failed', text, advice }
  }
  const cacheStatus = headers.get('cache-status')
  if (cacheStatus === undefined) {
    const text = `${url} answers, but not as oci-mirror does: it sends no Cache-Status`
    return { outcome: 'failed', text, advice: 'see what listens there' }
  }
  const digest = headers.get('docker-content-digest') ?? 'no digest'
  const hasMoved = found.digest !== undefined && digest !== found.digest
  const text = `${url}: ${cacheStatus}${hasMoved ? `, but it has ${digest}` : ''}`
  if (isUnconfirmed(cacheStatus)) {
    const age = headers.get('age')
    const since = age === null ? '' : `, last confirmed ${age} s ago`
    const advice = 'the mirror could not ask upstream, as this probe could: see its log for why'
    return { outcome: 'warned', text: text + since, advice }
  }
  if (!hasMoved) return { outcome: 'ok', text }
  const advice = 'the tag has moved; the mirror follows within `tags.ttl`'
  return { outcome: 'warned', text, advice }
}

/** Served although upstream did not confirm it. While it is checked in the background, all is as configured. */
function isUnconfirmed(cacheStatus: string): boolean {
  return /;\s*fwd=stale\b/.test(cacheStatus) && !/;\s*detail=revalidating\b/.test(cacheStatus)
}

function detailOf(body: string): string {
  try {
    const { errors } = JSON.parse(body) as {
      readonly errors?: readonly { readonly message?: unknown; readonly detail?: unknown }[]
    }
    const [first] = errors ?? []
    const words = [first?.detail, first?.message]
    return words.find((text): text is string => typeof text === 'string') ?? ''
  } catch {
    // No registry's error, so that there is nothing in it for us.
    return ''
  }
}

function reasonOf(error: unknown, signal: AbortSignal): string {
  if (signal.aborted) return `no answer within ${TIMEOUT_MS / 1000} s`
  if (!(error instanceof Error)) return String(error)
  const code = 'code' in error ? error.code : undefined
  if (code === 'ECONNREFUSED') return 'nothing listens there'
  // OpenSSL's own words for it are a line of hexadecimal.
  return code === 'EPROTO' ? 'it does not speak TLS' : error.message
}
