import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'

interface Told {
  readonly dir: string
  readonly pid: number
}

function start(...args: readonly string[]) {
  const script = new URL('./bench-dir-process.ts', import.meta.url).pathname
  return spawn(process.execPath, [script, ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
}

async function told(child: ReturnType<typeof start>): Promise<Told> {
  const [line] = (await once(child.stdout, 'data')) as [Buffer]
  return JSON.parse(line.toString()) as Told
}

/** One that was ended may be in the list until its parent, whoever that is now, takes note. */
function isRunning(pid: number): boolean {
  try {
    return !/^State:\tZ/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    // Not in the list any more.
    return false
  }
}

describe('a run', () => {
  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('that %s ends leaves no file and no program behind', async (signal, code) => {
    const child = start()
    const { dir, pid } = await told(child)
    expect([existsSync(dir), isRunning(pid)]).toEqual([true, true])
    child.kill(signal)
    expect((await once(child, 'exit'))[0]).toBe(code)
    expect([existsSync(dir), isRunning(pid)]).toEqual([false, false])
  })

  it('that comes to its end leaves no file behind', async () => {
    const child = start('ends')
    const exited = once(child, 'exit')
    const { dir } = await told(child)
    expect((await exited)[0]).toBe(0)
    expect(existsSync(dir)).toBe(false)
  })
})
