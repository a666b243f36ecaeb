import type { IncomingMessage } from 'node:http'
import { request } from 'node:http'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import type { MaintenanceProblem } from '../core/maintenance/maintenance-error.ts'
import { MaintenanceError } from '../core/maintenance/maintenance-error.ts'
import { DigestMismatch, NoSpace } from '../core/ports.ts'
import { StartError } from '../core/start-error.ts'
import { putBody } from './put-body.ts'

interface Problem {
  readonly detail?: unknown
  readonly problem?: MaintenanceProblem | 'mismatch' | 'no-space'
  /** Of `no-space`. */
  readonly kind?: NoSpace['kind']
}

interface Line {
  readonly progress?: unknown
  readonly report?: unknown
  readonly error?: Problem
}

/** Requests to the admin API of the mirror at `origin`. Its refusals are thrown as they are there. */
export class AdminRequests {
  readonly #origin: string

  constructor(origin: string) {
    this.#origin = origin
  }

  async get<T>(path: string, query: object = {}): Promise<T> {
    const url = this.#url(path)
    for (const [name, value] of Object.entries(query)) url.searchParams.set(name, String(value))
    return (await readJson(await send(url, 'GET'))) as T
  }

  async post<T>(path: string, body: object): Promise<T> {
    return (await readJson(await send(this.#url(path), 'POST', body))) as T
  }

  /** The body as it comes, whole or cut: its length is in the header. */
  async open(path: string, query: object, signal: AbortSignal): Promise<IncomingMessage> {
    const url = this.#url(path)
    for (const [name, value] of Object.entries(query)) url.searchParams.set(name, String(value))
    const response = await send(url, 'GET', undefined, signal)
    if (response.statusCode !== 200) throw await failureOf(response)
    return response
  }

  /** The answer to a body that is sent as it comes. Throws DigestMismatch and NoSpace, as they are there. */
  async put(
    path: string,
    query: object,
    size: number,
    body: AsyncIterable<Uint8Array>,
    signal: AbortSignal,
  ): Promise<void> {
    const url = this.#url(path)
    for (const [name, value] of Object.entries(query)) url.searchParams.set(name, String(value))
    await readJson(await putBody(url, size, body, signal))
  }

  /** For what takes long: reads a line at a time until the report. `hint` says what to do if it never comes. */
  async follow<T>(
    path: string,
    body: object,
    onProgress: (progress: never) => void,
    hint: string,
    signal: AbortSignal,
  ): Promise<T> {
    try {
      const response = await send(this.#url(path), 'POST', body, signal)
      if (response.statusCode !== 200) throw await failureOf(response)
      return (await readLines(response, onProgress, hint)) as T
    } catch (reason) {
      // Whoever stopped it has a better word for it than the connection that was cut.
      signal.throwIfAborted()
      throw reason
    }
  }

  #url(path: string): URL {
    return new URL(`/api/v1/${path}`, this.#origin)
  }
}

async function send(
  url: URL,
  method: 'GET' | 'POST',
  body?: object,
  signal?: AbortSignal,
): Promise<IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
  const headers = body === undefined ? {} : { 'content-type': 'application/json' }
  const options = { method, headers, agent: false as const, ...(signal && { signal }) }
  request(url, options, resolve)
    .on('error', reject)
    .end(body && JSON.stringify(body))
  return promise
}

async function readJson(response: IncomingMessage): Promise<unknown> {
  if (response.statusCode !== 200) throw await failureOf(response)
  return JSON.parse(await text(response)) as unknown
}

async function failureOf(response: IncomingMessage): Promise<Error> {
  const body = await text(response)
  try {
    return toError(JSON.parse(body) as Problem, body)
  } catch {
    // Not from a mirror, or not from one of this version.
    const said = body.slice(0, 200).trim()
    return new StartError(`the admin listener answers ${response.statusCode}: ${said}`)
  }
}

function toError({ detail, problem, kind = 'broken' }: Problem, body: string): Error {
  const message = typeof detail === 'string' ? detail : body.slice(0, 200)
  if (problem === 'mismatch') return new DigestMismatch(message)
  if (problem === 'no-space') return new NoSpace(message, kind)
  return problem === undefined ? new StartError(message) : new MaintenanceError(problem, message)
}

async function readLines(
  response: IncomingMessage,
  onProgress: (progress: never) => void,
  hint: string,
): Promise<unknown> {
  for await (const text of createInterface({ input: response, crlfDelay: Infinity })) {
    const line = JSON.parse(text) as Line
    if (line.progress !== undefined) onProgress(line.progress as never)
    if (line.report !== undefined) return line.report
    if (line.error !== undefined) throw toError(line.error, text)
  }
  throw new StartError(`the mirror ended before it was done: ${hint}`)
}
