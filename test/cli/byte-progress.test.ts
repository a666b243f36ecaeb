import { describe, expect, it } from 'vitest'
import { createByteProgress } from '../../src/cli/byte-progress.ts'
import { Context } from '../../src/cli/context.ts'
import { FakeSignals } from './fake-terminal.ts'

function start(isTTY: boolean, options: { output?: 'text' | 'json'; progress?: boolean } = {}) {
  const said: string[] = []
  let now = 0
  const context = new Context({
    stdout: { write: () => {} },
    stderr: { isTTY, write: (text) => said.push(text), columns: 100 },
    env: {},
    cwd: '/',
    signals: new FakeSignals(),
  })
  const { output = 'text', progress = true } = options
  const shown = createByteProgress('exported', context, { output, progress }, () => now)
  return {
    said,
    clear: () => shown.clear(),
    at: (ms: number, done: number) => {
      now = ms
      shown.show({ done, total: 200_000_000 })
    },
  }
}

describe('the progress of bytes', () => {
  it('is a line every five seconds where nobody can see a bar', () => {
    const { said, at, clear } = start(false)
    at(100, 1)
    at(5_000, 50_000_000)
    at(7_000, 60_000_000)
    at(10_000, 100_000_000)
    clear()
    expect(said).toEqual([
      'exported  25 %  50 MB of 200 MB  10 MB/s\n',
      'exported  50 %  100 MB of 200 MB  10 MB/s\n',
    ])
  })

  it('is a bar on a terminal, which is taken away at the end', () => {
    const { said, at, clear } = start(true)
    at(10, 0)
    at(50, 1)
    at(1_000, 100_000_000)
    clear()
    const drawn = said.join('')
    expect(drawn).toContain(`${'░'.repeat(24)} 0 %  0 B of 200 MB  0 B/s`)
    expect(drawn).toContain(`${'█'.repeat(12)}${'░'.repeat(12)} 50 %  100 MB of 200 MB  100 MB/s`)
    expect(said.slice(-2)).toEqual(['\u001B[1G', '\u001B[2K'])
  })

  it('is JSON for programs, on a terminal too, and nothing if it is not wanted', () => {
    const json = start(true, { output: 'json' })
    json.at(5_000, 50_000_000)
    expect(json.said.map((line) => JSON.parse(line) as unknown)).toEqual([
      { progress: { bytes: { done: 50_000_000, total: 200_000_000 }, rate: 10_000_000 } },
    ])
    const none = start(true, { progress: false })
    none.at(5_000, 50_000_000)
    none.clear()
    expect(none.said).toEqual([])
  })
})
