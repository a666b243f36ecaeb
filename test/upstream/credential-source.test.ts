import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { CredentialSource } from '../../src/upstream/credential-source.ts'
import type { CredentialHelper, Credentials } from '../../src/upstream/options.ts'
import { ManualClock } from '../support/clock.ts'
import { FakeHelper } from '../support/fake-helper.ts'

const SECOND = 1_000
const MINUTE = 60 * SECOND
const OLD = { username: 'AWS', password: 'old' }
const NEW = { username: 'AWS', password: 'new' }
const { signal } = new AbortController()

describe('CredentialSource', () => {
  let helper: FakeHelper
  let clock: ManualClock
  let source: CredentialSource
  let found: Credentials | CredentialHelper

  beforeEach(async () => {
    helper = await FakeHelper.start()
    clock = new ManualClock()
    found = { helper: helper.name, server: 'a.example' }
    source = new CredentialSource(() => Promise.resolve(found), clock)
    await helper.answer('AWS', 'old')
  })
  afterEach(async () => {
    source.close()
    await helper.close()
  })

  async function callCount(): Promise<number> {
    return (await helper.calls()).length
  }

  it('passes on what the configuration holds, each time', async () => {
    found = OLD
    expect(await source.get(signal)).toBe(OLD)
    found = NEW
    expect(await source.get(signal)).toBe(NEW)
    expect(await callCount()).toBe(0)
  })

  it('asks a helper once for however many wait', async () => {
    const all = await Promise.all(Array.from({ length: 20 }, () => source.get(signal)))
    expect(all).toEqual(all.map(() => OLD))
    expect(await callCount()).toBe(1)
  })

  it('uses what a helper said for ten minutes', async () => {
    await source.get(signal)
    await helper.answer('AWS', 'new')
    await clock.advance(10 * MINUTE - 1)
    expect(await source.get(signal)).toEqual(OLD)
    await clock.advance(1)
    expect(await source.get(signal)).toEqual(NEW)
    expect(await callCount()).toBe(2)
  })

  it('asks the helper again when what it said is refused', async () => {
    const refused = await source.get(signal)
    await helper.answer('AWS', 'new')
    await clock.advance(10 * SECOND)
    // Many requests were under way with it, and all are refused.
    for (let i = 0; i < 5; i += 1) source.refused(refused)
    expect(await source.get(signal)).toEqual(NEW)
    source.refused(refused)
    expect(await source.get(signal)).toEqual(NEW)
    expect(await callCount()).toBe(2)
  })

  it('does not run the helper for each refusal of credentials that it has just given', async () => {
    for (let i = 0; i < 5; i += 1) {
      source.refused(await source.get(signal))
      await clock.advance(1_999)
    }
    expect(await callCount()).toBe(1)
  })

  it('remembers a failure for ten seconds', async () => {
    await helper.runs('exit 1')
    const failing = () => expect(source.get(signal)).rejects.toThrow('it failed (code 1)')
    await failing()
    await helper.answer('AWS', 'new')
    await clock.advance(10 * SECOND - 1)
    await failing()
    expect(await callCount()).toBe(1)
    await clock.advance(1)
    expect(await source.get(signal)).toEqual(NEW)
  })

  it('asks for another server as soon as the configuration names another', async () => {
    await source.get(signal)
    found = { helper: helper.name, server: 'b.example' }
    await source.get(signal)
    expect((await helper.calls()).toSorted()).toEqual(['get a.example', 'get b.example'])
  })

  it('lets one go who does not wait any longer, and the others have their answer', async () => {
    await helper.runs(
      `while [ ! -e "$0.go" ]; do sleep 0.01; done; echo '${JSON.stringify({
        Username: 'u',
        Secret: 'p',
      })}'`,
    )
    const client = new AbortController()
    const leaving = source.get(client.signal)
    const staying = source.get(signal)
    await vi.waitFor(async () => expect(await callCount()).toBe(1), 5_000)
    client.abort(new Error('the client left'))
    await expect(leaving).rejects.toThrow('the client left')
    await helper.touch('docker-credential-fake.go')
    expect(await staying).toEqual({ username: 'u', password: 'p' })
    expect(await callCount()).toBe(1)
  })

  it('keeps nobody waiting, and no program running, once it is closed', async () => {
    await helper.runs('exec sleep 60')
    const asked = source.get(signal)
    await vi.waitFor(async () => expect(await callCount()).toBe(1), 5_000)
    source.close()
    await expect(asked).rejects.toThrow('the mirror is shutting down')
    await clock.advance(MINUTE)
    await expect(source.get(signal)).rejects.toThrow('the mirror is shutting down')
    expect(clock.sleeping()).toBe(0)
  })
})
