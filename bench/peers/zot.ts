import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { execFile } from 'node:child_process'
import { answers, freePort } from '../../test/e2e/support/programs.ts'
import type { Peer, PeerPlace, RunningPeer } from '../support/peer.ts'
import { startServer } from '../support/server.ts'

/** A binary that the caller has: `BENCH_ZOT=/path/to/zot`. It has to be a full build, with extensions. */
export async function findZot(): Promise<Peer> {
  const program = process.env['BENCH_ZOT']
  if (program === undefined) throw new Error('set BENCH_ZOT to the path of its binary')
  const { stdout, stderr } = await promisify(execFile)(program, ['--version'])
  // It is a line of its log.
  const version = /"commit":"([^"]+)"/.exec(stdout + stderr)?.[1] ?? 'unknown'
  return { name: 'zot', version, start: (place) => start(program, place) }
}

async function start(program: string, { dir, upstream }: PeerPlace): Promise<RunningPeer> {
  const port = await freePort()
  const settings = {
    distSpecVersion: '1.1.0',
    storage: { rootDirectory: join(dir, 'storage') },
    http: { address: '127.0.0.1', port: String(port) },
    log: { level: 'info', output: join(dir, 'access.log') },
    extensions: {
      sync: {
        enable: true,
        registries: [
          { urls: [upstream], onDemand: true, tlsVerify: false, content: [{ prefix: '**' }] },
        ],
      },
    },
  }
  const file = join(dir, 'config.json')
  await writeFile(file, JSON.stringify(settings))
  const server = await startServer(program, ['serve', file], {
    log: join(dir, 'log'),
    isReady: () => answers(`http://127.0.0.1:${port}/v2/`, [200]),
  })
  return { ...server, url: `http://127.0.0.1:${port}` }
}
