import type { IncomingMessage } from 'node:http'
import { request } from 'node:http'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import type {
  ImagesRequest,
  ListQuery,
  MaintenanceApi,
  VerifyImages,
} from '../core/maintenance/maintenance-api.ts'
import type { MaintenanceProblem } from '../core/maintenance/maintenance-error.ts'
import { MaintenanceError } from '../core/maintenance/maintenance-error.ts'
import type { VerifyProgress, VerifyReport } from '../core/maintenance/reports.ts'
import type { Operations } from '../core/operations.ts'
import { StartError } from '../core/start-error.ts'

interface Problem {
  readonly detail?: unknown
  readonly problem?: MaintenanceProblem
}

interface VerifyLine {
  readonly progress?: VerifyProgress
  readonly report?: VerifyReport
  readonly error?: Problem
}

/** Asks the running mirror, by its admin API at `origin`. Its refusals are thrown as they are there. */
export function createAdminClient(origin: string): Operations {
  return { maintenance: createMaintenanceClient(origin) }
}

function createMaintenanceClient(origin: string): MaintenanceApi {
  const get = async <T>(path: string, query: object = {}): Promise<T> => {
    const url = new URL(`/api/v1/${path}`, origin)
    for (const [name, value] of Object.entries(query)) url.searchParams.set(name, String(value))
    return (await readJson(await send(url, 'GET'))) as T
  }
  const post = async <T>(path: string, body: object): Promise<T> =>
    (await readJson(await send(new URL(`/api/v1/${path}`, origin), 'POST', body))) as T
  return {
    stats: () => get('stats'),
    images: (query: ListQuery) => get('images', query),
    repositories: (query: ListQuery) => get('repositories', query),
    blobs: (query: ListQuery) => get('blobs', query),
    show: (reference) => get('image', { reference }),
    history: (reference) => get('history', { reference }),
    remove: (body) => post('rm', body),
    pin: (body: ImagesRequest) => post('pin', body),
    unpin: (body: ImagesRequest) => post('unpin', body),
    hold: (reference) => post('hold', { reference }),
    release: (reference) => post('release', { reference }),
    gc: (dryRun) => post('gc', { dryRun }),
    verify: async (body: VerifyImages, onProgress, signal) => {
      try {
        const response = await send(new URL('/api/v1/verify', origin), 'POST', body, signal)
        if (response.statusCode !== 200) throw await failureOf(response)
        return await readVerification(response, onProgress)
      } catch (reason) {
        // Whoever stopped it has a better word for it than the connection that was cut.
        signal.throwIfAborted()
        throw reason
      }
    },
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

function toError({ detail, problem }: Problem, body: string): Error {
  const message = typeof detail === 'string' ? detail : body.slice(0, 200)
  return problem === undefined ? new StartError(message) : new MaintenanceError(problem, message)
}

async function readVerification(
  response: IncomingMessage,
  onProgress: (progress: VerifyProgress) => void,
): Promise<VerifyReport> {
  for await (const text of createInterface({ input: response, crlfDelay: Infinity })) {
    const line = JSON.parse(text) as VerifyLine
    if (line.progress !== undefined) onProgress(line.progress)
    if (line.report !== undefined) return line.report
    if (line.error !== undefined) throw toError(line.error, text)
  }
  const hint = 'see its log, and run the command again: it goes on where it stopped'
  throw new StartError(`the mirror ended before the verification did: ${hint}`)
}
