import { describe, expect, it } from 'vitest'
import { waitForStop } from '../../src/cli/stop-signals.ts'
import { FakeSignals } from './fake-terminal.ts'

describe('signals to stop', () => {
  it.each(['SIGINT', 'SIGTERM'] as const)('begin an orderly end: %s', async (signal) => {
    const signals = new FakeSignals()
    const stop = waitForStop(signals)
    signals.emit(signal, signal)
    expect(await stop).toBe(signal)
    expect(signals.exits).toEqual([])
  })

  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('end the process at once the second time: %s', async (signal, code) => {
    const signals = new FakeSignals()
    let now = 0
    const stop = waitForStop(signals, () => now)
    signals.emit('SIGTERM', 'SIGTERM')
    await stop
    now = 1000
    signals.emit(signal, signal)
    expect(signals.exits).toEqual([code])
  })

  it('count a Ctrl-C once although npm passes it on', async () => {
    const signals = new FakeSignals()
    let now = 0
    const stop = waitForStop(signals, () => now)
    signals.emit('SIGINT', 'SIGINT')
    await stop
    now = 5
    signals.emit('SIGINT', 'SIGINT')
    expect(signals.exits).toEqual([])
    now = 600
    signals.emit('SIGINT', 'SIGINT')
    expect(signals.exits).toEqual([130])
  })
})
