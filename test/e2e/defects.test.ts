import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { makeTempDir } from '../support/temp-dir.ts'
import { freePort, Program } from './support/programs.ts'

const MAIN = join(import.meta.dirname, '../../src/main.ts')
const PROMPT_MS = 20_000
/** Code in the same process that forgets to look at a promise, once the mirror serves. */
const DEFECT = "setTimeout(() => { Promise.reject(new Error('nobody looks at this')) }, 3000)"

describe('a promise that is rejected with nobody looking', () => {
  it('ends the process with 1, after a line that says why', async () => {
    await using dir = await makeTempDir()
    const file = join(dir.path, 'mirror.json')
    const config = {
      server: { listen: `127.0.0.1:${await freePort()}` },
      admin: { listen: `127.0.0.1:${await freePort()}` },
      log: { level: 'info', format: 'json' },
      upstreams: { 'registry.test': { url: 'http://127.0.0.1:1' } },
      storage: { dir: join(dir.path, 'data'), minFree: '0' },
    }
    await writeFile(file, JSON.stringify(config))
    const defect = join(dir.path, 'defect.mjs')
    await writeFile(defect, DEFECT)
    const args = ['--import', defect, MAIN, 'serve', '-c', file]
    const program = Program.start(process.execPath, args)
    const late = sleep(PROMPT_MS, 'still running', { ref: false })
    try {
      expect(await Promise.race([program.exited, late])).toEqual({ code: 1, signal: null })
    } finally {
      await program.stop()
    }
    const last: unknown = JSON.parse(program.stdout().trim().split('\n').at(-1) ?? '')
    expect(last).toMatchObject({
      level: 'fatal',
      msg: 'ended by an error that nobody caught: please report it',
      error: { message: 'nobody looks at this' },
    })
  })
})
