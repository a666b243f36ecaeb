import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { DelayLine, LINE_BYTES } from '../../../bench/support/delay-line.ts'

const DELAY_MS = 25
/** What is due within a timer's grain goes at once. */
const GRAIN_MS = 1

describe('a delay line', () => {
  beforeEach(() => {
    vi.useFakeTimers()
  })
  afterEach(() => {
    vi.useRealTimers()
  })

  it('hands on every piece when its time has come, and the end after all of them', () => {
    const { line, sent } = layLine()
    line.push(Buffer.from('a'))
    vi.advanceTimersByTime(10)
    line.push(Buffer.from('b'))
    line.end()
    vi.advanceTimersByTime(DELAY_MS - 10 - GRAIN_MS)
    expect(sent).toEqual([])
    vi.advanceTimersByTime(GRAIN_MS)
    expect(sent).toEqual(['a'])
    vi.advanceTimersByTime(10)
    expect(sent).toEqual(['a', 'b', 'end'])
  })

  it('takes what comes before it is open as sent when it opens', () => {
    const { line, sent } = layLine({ opensInMs: 50 })
    line.push(Buffer.from('early'))
    vi.advanceTimersByTime(50 + DELAY_MS - GRAIN_MS)
    expect(sent).toEqual([])
    vi.advanceTimersByTime(GRAIN_MS)
    expect(sent).toEqual(['early'])
  })

  it('hands on at once what has no way to go', () => {
    const { line, sent } = layLine({ delayMs: 0 })
    line.push(Buffer.from('a'))
    expect(sent).toEqual(['a'])
  })

  it('waits for a full sink, and keeps the order', () => {
    const { line, sent, sink } = layLine()
    sink.writableNeedDrain = true
    line.push(Buffer.from('a'))
    line.push(Buffer.from('b'))
    vi.advanceTimersByTime(10 * DELAY_MS)
    expect(sent).toEqual([])
    sink.writableNeedDrain = false
    line.drained()
    expect(sent).toEqual(['a', 'b'])
  })

  it('stops its source above its limit, and lets it go on below half of that', () => {
    const { line, source } = layLine()
    const quarter = Buffer.alloc(LINE_BYTES / 4)
    for (let n = 0; n < 4; n += 1) {
      expect(source.isPaused).toBe(false)
      line.push(quarter)
      vi.advanceTimersByTime(2)
    }
    expect(source.isPaused).toBe(true)
    vi.advanceTimersByTime(DELAY_MS - 8)
    expect(source.isPaused).toBe(true)
    vi.advanceTimersByTime(2)
    expect(source.isPaused).toBe(false)
  })

  it('drops what is on its way when it is cut', () => {
    const { line, sent } = layLine()
    line.push(Buffer.from('a'))
    line.cut()
    vi.advanceTimersByTime(2 * DELAY_MS)
    expect(sent).toEqual([])
  })
})

function layLine({ delayMs = DELAY_MS, opensInMs = 0 } = {}) {
  const sent: string[] = []
  const sink = {
    writableNeedDrain: false,
    write: (bytes: Uint8Array) => sent.push(Buffer.from(bytes).toString('latin1')),
    end: () => sent.push('end'),
  }
  const source = {
    isPaused: false,
    pause: () => (source.isPaused = true),
    resume: () => (source.isPaused = false),
  }
  const opensAt = performance.now() + opensInMs
  const line = new DelayLine({ from: source, to: sink, delayMs, opensAt })
  return { line, sent, sink, source }
}
