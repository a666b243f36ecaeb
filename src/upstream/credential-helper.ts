import type { ChildProcessByStdio } from 'node:child_process'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Readable, Writable } from 'node:stream'
import type { Clock } from '../core/ports.ts'
import { abortable } from './abortable.ts'
import type { CredentialHelper, Credentials } from './options.ts'

const LIMIT_MS = 10_000
/** For what a program that has ended left in the pipe, which a child of it may keep open. */
const GRACE_MS = 500
const MAX_OUTPUT_BYTES = 64 * 1024

/** What the protocol gives as the user name of an identity token. */
const IDENTITY_TOKEN = '<token>'

/** What a helper that knows nothing of the server prints, and the protocol tells from other failures. */
const NOT_FOUND = 'credentials not found in native keychain'

type Helper = ChildProcessByStdio<Writable, Readable, null>

/**
 * Asks `docker-credential-<helper> get`, by the protocol of docker-credential-helpers: the server on
 * stdin, JSON on stdout. Throws an Error that repeats nothing of what the program wrote: it is a
 * secret, or may hold one.
 */
export async function askHelper(
  { helper, server }: CredentialHelper,
  clock: Clock,
  signal: AbortSignal,
): Promise<Credentials> {
  const program = `docker-credential-${helper}`
  try {
    return readAnswer(await run(program, server, clock, signal))
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new Error(`${program} gave no credentials for ${server}: ${reason}`, { cause })
  }
}

/** Its output, if it succeeds. Nothing of it is left running, whatever happens. */
async function run(
  program: string,
  input: string,
  clock: Clock,
  signal: AbortSignal,
): Promise<string> {
  // A group of its own, so that what the program starts (gcloud's is a script) ends with it.
  const child = spawn(program, ['get'], { stdio: ['pipe', 'pipe', 'ignore'], detached: true })
  if (child.pid === undefined) throw await spawnFailure(child)
  let isClosed = false
  child.once('close', () => (isClosed = true))
  const finished = new AbortController()
  try {
    const late = clock.sleep(LIMIT_MS, finished.signal).then((): never => {
      throw new Error(`it did not answer within ${LIMIT_MS / 1000} s`)
    })
    late.catch(() => undefined)
    const output = outputOf(child, clock, finished.signal)
    // It may exit without having read anything.
    child.stdin.on('error', () => undefined).end(`${input}\n`)
    return await abortable(Promise.race([output, late]), signal)
  } finally {
    finished.abort()
    if (!isClosed) killGroup(child)
  }
}

function outputOf(child: Helper, clock: Clock, signal: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    const chunks: Uint8Array[] = []
    let length = 0
    child.stdout.on('data', (chunk: Uint8Array) => {
      length += chunk.length
      if (length > MAX_OUTPUT_BYTES) reject(new Error('it wrote more than 64 KiB'))
      else chunks.push(chunk)
    })
    const settle = (code: number | null, killer: string | null) => {
      const text = Buffer.concat(chunks).toString()
      if (code === 0) resolve(text)
      else reject(exitFailure(killer ?? `code ${code}`, text))
    }
    child.once('close', settle)
    child.once('exit', (code, killer) => {
      void clock.sleep(GRACE_MS, signal).then(() => settle(code, killer))
    })
  })
}

/** It has not been started; where files or processes have run out, not even its pipes are there. */
async function spawnFailure(child: Helper): Promise<Error> {
  const [cause] = (await once(child, 'error')) as [Error]
  const isMissing = 'code' in cause && cause.code === 'ENOENT'
  const reason = isMissing ? 'there is no such program in the PATH' : 'it cannot be started'
  return new Error(reason, { cause })
}

function exitFailure(how: string, output: string): Error {
  if (output.includes(NOT_FOUND)) return new Error('it has none; log in there first')
  return new Error(`it failed (${how}); run it by hand to see why`)
}

function killGroup(child: Helper): void {
  child.stdout.destroy()
  try {
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
  } catch {
    // It has ended by itself in the meantime.
  }
}

function readAnswer(text: string): Credentials {
  const { Username: username, Secret: secret } = parseObject(text)
  if (typeof username !== 'string' || typeof secret !== 'string' || secret === '') {
    throw new Error('it answered without a Username and a Secret')
  }
  return username === IDENTITY_TOKEN ? { identityToken: secret } : { username, password: secret }
}

function parseObject(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? { ...value } : {}
  } catch {
    // The parser's message quotes the text, and with it the secret.
    throw new Error('it answered something that is not JSON')
  }
}
