import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { makeTempDir } from '../support/temp-dir.ts'
import { fillStore } from '../torture/fill-store.ts'
import { randomFrom } from '../torture/random.ts'
import { runRounds } from '../torture/rounds.ts'
import { launchMirror } from './support/mirror-program.ts'
import { answers } from './support/programs.ts'

const BLOBS = 100_000
const START_MS = 2_000

describe('a mirror that is killed', () => {
  it('is before or after, never between', async () => {
    await using dir = await makeTempDir()
    const options = { kills: 5, dir: dir.path, random: randomFrom(5), onRound: () => {} }
    const tally = await runRounds(options)
    expect(tally.wrong).toEqual([])
    expect(tally.answers).toBeGreaterThan(50)
    expect(tally.files).toBeGreaterThan(0)
    expect(tally.rows).toBeGreaterThan(0)
    expect(tally.held).toBeGreaterThan(0)
  })

  it(`needs less than ${START_MS / 1000} s to answer with ${BLOBS} blobs, a kill before it or not`, async () => {
    await using dir = await makeTempDir()
    const dataDir = join(dir.path, 'data')
    await fillStore(dataDir, BLOBS)
    for (const _ of [1, 2]) {
      const config = { upstreams: { 'registry.test': { url: 'http://127.0.0.1:9' } } }
      const mirror = await launchMirror({
        dir: dir.path,
        dataDir,
        config: { defaultUpstream: 'registry.test', ...config },
      })
      await mirror.program.ready(() => answers(`${mirror.url}/readyz`, [200]))
      const took = await cpuTime(mirror.program.pid)
      mirror.program.kill('SIGKILL')
      await mirror.program.exited
      expect(took).toBeLessThan(START_MS)
    }
  })
})

/** Milliseconds that the process has used, on all cores: other tests' load does not count. proc(5), stat. */
async function cpuTime(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const ticks = Number(fields[11]) + Number(fields[12])
  return ticks * 10
}
