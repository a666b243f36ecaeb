import { existsSync, readFileSync } from 'node:fs'
import { chmod, writeFile } from 'node:fs/promises'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { askHelper } from '../../src/upstream/credential-helper.ts'
import type { Credentials } from '../../src/upstream/options.ts'
import { ManualClock } from '../support/clock.ts'
import { FakeHelper } from '../support/fake-helper.ts'

const SERVER = '123.dkr.ecr.eu-west-1.amazonaws.com'
const FAILURE = `docker-credential-fake gave no credentials for ${SERVER}: `
const SECRET = 'canary-secret'
/** Milliseconds that a program may take to start or to end, on a machine that has other things to do. */
const PATIENCE = 5_000
/** Both the script and what it has started note their process, and stay. */
const STAYS = 'sleep 60 & echo $! > "$0.inner"; echo $$ > "$0.outer"; wait'

describe('askHelper', () => {
  let helper: FakeHelper
  let clock: ManualClock
  beforeEach(async () => {
    helper = await FakeHelper.start()
    clock = new ManualClock()
  })
  afterEach(() => helper.close())

  function ask(signal = new AbortController().signal, name = helper.name): Promise<Credentials> {
    return askHelper({ helper: name, server: SERVER }, clock, signal)
  }

  async function failureOf(asked: Promise<unknown>): Promise<Error> {
    const reason: unknown = await asked.then(
      () => undefined,
      (error: unknown) => error,
    )
    if (!(reason instanceof Error)) throw new Error('it did not fail')
    return reason
  }

  /** The processes of STAYS, once they run. */
  async function staying(): Promise<readonly number[]> {
    const files = ['inner', 'outer'].map((end) => helper.path(`docker-credential-fake.${end}`))
    const read = () => files.map((file) => (existsSync(file) ? readFileSync(file, 'utf8') : ''))
    await vi.waitFor(() => expect(read().every((text) => text.endsWith('\n'))).toBe(true), PATIENCE)
    const ids = read().map(Number)
    expect(ids.filter(isRunning)).toEqual(ids)
    return ids
  }

  function gone(ids: readonly number[]): Promise<void> {
    return vi.waitFor(() => expect(ids.filter(isRunning)).toEqual([]), PATIENCE)
  }

  it('gives the server on stdin to `get`, and gets a user name and a password', async () => {
    await helper.answer('AWS', SECRET)
    expect(await ask()).toEqual({ username: 'AWS', password: SECRET })
    expect(await helper.calls()).toEqual([`get ${SERVER}`])
    expect(clock.sleeping()).toBe(0)
  })

  it('takes the user <token> for an identity token', async () => {
    await helper.answer('<token>', SECRET)
    expect(await ask()).toEqual({ identityToken: SECRET })
  })

  it('does not mind a program that reads nothing', async () => {
    await helper.runs(`exec 0<&-; echo '{"Username":"u","Secret":"p"}'`)
    expect(await ask()).toEqual({ username: 'u', password: 'p' })
  })

  it.each([
    ['no JSON', `echo '${SECRET}'`, 'it answered something that is not JSON'],
    ['nothing', 'true', 'it answered something that is not JSON'],
    ['null', 'echo null', 'it answered without a Username and a Secret'],
    ['no secret', `echo '{"Username":"${SECRET}"}'`, 'it answered without a Username and a Secret'],
    ['an empty secret', `echo '{"Username":"u","Secret":""}'`, 'without a Username and a Secret'],
    ['a failure', `echo '${SECRET}'; echo '${SECRET}' >&2; exit 3`, 'it failed (code 3); run it'],
    ['a signal', `echo '${SECRET}'; kill -TERM $$; wait`, 'it failed (SIGTERM); run it by hand'],
    [
      'that it knows no such server',
      'echo "credentials not found in native keychain"; exit 1',
      'it has none; log in there first',
    ],
  ])('says what is wrong with %s, and repeats nothing of it', async (_, script, reason) => {
    await helper.runs(script)
    const failure = await failureOf(ask())
    expect(failure.message).toContain(FAILURE)
    expect(failure.message).toContain(reason)
    expect(describeAll(failure)).not.toContain(SECRET)
    expect(clock.sleeping()).toBe(0)
  })

  it('says that there is no such program, or none that can be started', async () => {
    const missing = await failureOf(ask(undefined, 'none'))
    expect(missing.message).toContain('docker-credential-none gave no credentials')
    expect(missing.message).toContain('there is no such program in the PATH')
    const path = helper.path('docker-credential-text')
    await writeFile(path, 'not a program')
    await chmod(path, 0o644)
    const unfit = await failureOf(ask(undefined, 'text'))
    expect(unfit.message).toContain('it cannot be started')
    expect(clock.sleeping()).toBe(0)
  })

  it('ends a program that writes more than 64 KiB', async () => {
    await helper.runs(`echo $$ > "$0.outer"; exec yes ${SECRET}`)
    const failure = await failureOf(ask())
    expect(failure.message).toBe(`${FAILURE}it wrote more than 64 KiB`)
    await gone([Number(readFileSync(helper.path('docker-credential-fake.outer'), 'utf8'))])
  })

  it('ends a program that takes more than ten seconds, with all that it has started', async () => {
    await helper.runs(STAYS)
    const failing = failureOf(ask())
    const ids = await staying()
    await clock.advance(9_999)
    expect(ids.filter(isRunning)).toEqual(ids)
    await clock.advance(1)
    expect((await failing).message).toBe(`${FAILURE}it did not answer within 10 s`)
    await gone(ids)
  })

  it('ends the program when the mirror stops', async () => {
    await helper.runs(STAYS)
    const stop = new AbortController()
    const failing = failureOf(ask(stop.signal))
    const ids = await staying()
    stop.abort(new Error('the mirror is shutting down'))
    expect((await failing).message).toBe(`${FAILURE}the mirror is shutting down`)
    await gone(ids)
    expect(clock.sleeping()).toBe(0)
  })

  it.each([
    ['an answer', `echo '{"Username":"u","Secret":"p"}'`, { username: 'u', password: 'p' }],
    ['a failure', 'exit 3', `${FAILURE}it failed (code 3); run it by hand to see why`],
  ])('does not wait for what keeps stdout open behind %s', async (_, end, expected) => {
    await helper.runs(`sleep 60 & echo $! > "$0.inner"; ${end}`)
    const asked = ask().catch((failure: Error) => failure.message)
    // The limit and, once the program itself has ended, the grace.
    await vi.waitFor(() => expect(clock.sleeping()).toBe(2), PATIENCE)
    await clock.advance(500)
    expect(await asked).toEqual(expected)
    const inner = helper.path('docker-credential-fake.inner')
    await gone([Number(readFileSync(inner, 'utf8'))])
    expect(clock.sleeping()).toBe(0)
  })
})

/** A process that has ended stays in the table until its parent has looked. */
function isRunning(id: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${id}/status`, 'utf8'))
  } catch {
    // There is no such process.
    return false
  }
}

/** The error and its causes, as a careless log would write them. */
function describeAll(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return `${error.stack} ${JSON.stringify(error)} ${describeAll(error.cause)}`
}
