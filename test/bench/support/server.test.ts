import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { processesOf } from '../../../bench/support/proc.ts'
import type { Server } from '../../../bench/support/server.ts'
import { startServer } from '../../../bench/support/server.ts'
import { makeTempDir } from '../../support/temp-dir.ts'

/** A master with a worker, as nginx is one. */
const SCRIPT = 'echo it starts; sleep 60 & wait'

describe('a server of the benchmark', () => {
  it('is killed with all that it started', async () => {
    await using dir = await makeTempDir()
    const server = await start(dir.path)
    const pids = processesOf(server.pid)
    expect(pids).toHaveLength(2)
    await server.kill()
    await expect.poll(() => Promise.all(pids.map(commandOf))).toEqual(['', ''])
  })

  it('prints into a file, and is looked at until it is ready', async () => {
    await using dir = await makeTempDir()
    let looks = 0
    const server = await start(dir.path, () => (looks += 1) > 30)
    expect(looks).toBe(31)
    expect(await readFile(join(dir.path, 'log'), 'utf8')).toBe('it starts\n')
    await server.kill()
  })

  it('has what it printed told when it ends before it is ready', async () => {
    await using dir = await makeTempDir()
    const options = { log: join(dir.path, 'log'), isReady: async () => false }
    const started = startServer('sh', ['-c', 'echo no such port; exit 3'], options)
    await expect(started).rejects.toThrow('sh did not start: no such port')
  })
})

/** Ready when it has a worker, and when it is said to be. */
async function start(dir: string, isReady: () => boolean = () => true): Promise<Server> {
  const log = join(dir, 'log')
  const isUp = async () => isReady() && (await readFile(log, 'utf8')) !== ''
  const server = await startServer('sh', ['-c', SCRIPT], { log, isReady: isUp })
  await expect.poll(() => processesOf(server.pid)).toHaveLength(2)
  return server
}

/** Nothing, when it has ended: also while nobody has waited for it. */
function commandOf(pid: number): Promise<string> {
  return readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
}
