import { runCommand } from '../../test/e2e/support/programs.ts'

/** What wrk found. */
export interface WrkResult {
  readonly requests: number
  readonly requestsPerSecond: number
  /** Milliseconds, for 99 of 100 requests. */
  readonly p99: number
}

interface WrkOptions {
  readonly url: string
  readonly seconds: number
  readonly connections: number
  readonly headers: Readonly<Record<string, string>>
}

const MILLISECONDS: Readonly<Record<string, number>> = { us: 0.001, ms: 1, s: 1_000, m: 60_000 }

/** One thread: the other core is the server's. Rejects if any answer was not a good one. */
export async function runWrk({
  url,
  seconds,
  connections,
  headers,
}: WrkOptions): Promise<WrkResult> {
  const lines = Object.entries(headers).flatMap(([name, value]) => ['-H', `${name}: ${value}`])
  const args = ['-t1', `-c${connections}`, `-d${seconds}s`, '--latency', ...lines, url]
  return parseWrk(await runCommand('wrk', args))
}

/** Throws for answers other than 2xx and 3xx, and for connections that broke. */
export function parseWrk(text: string): WrkResult {
  const bad = /Non-2xx or 3xx responses: (\d+)/.exec(text)?.[1]
  if (bad !== undefined) throw new Error(`${bad} answers were errors`)
  const broken = /Socket errors: (.*)/.exec(text)?.[1]
  if (broken !== undefined) throw new Error(`connections broke: ${broken}`)
  const requests = Number(/(\d+) requests in/.exec(text)?.[1])
  const requestsPerSecond = Number(/Requests\/sec:\s+([\d.]+)/.exec(text)?.[1])
  const [, p99, unit = ''] = /\n\s+99%\s+([\d.]+)(us|ms|s|m)\n/.exec(text) ?? []
  const result = { requests, requestsPerSecond, p99: Number(p99) * (MILLISECONDS[unit] ?? NaN) }
  if (Object.values(result).every((value) => Number.isFinite(value) && requests > 0)) return result
  throw new Error(`wrk answered nobody knows what: ${text.slice(0, 500)}`)
}
