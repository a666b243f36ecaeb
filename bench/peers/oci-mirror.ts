import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { startScript } from '../../test/e2e/support/mirror-program.ts'
import { answers, freePort } from '../../test/e2e/support/programs.ts'
import type { Peer, PeerPlace, RunningPeer } from '../support/peer.ts'
import { startServer } from '../support/server.ts'

const ROOT = join(import.meta.dirname, '../..')

/** Ours, from this checkout. */
export const OURS = 'oci-mirror'

/** Ours, as `npm start` runs it, without npm in between. */
export async function findOciMirror(): Promise<Peer> {
  const { version } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')) as {
    version: string
  }
  return { name: OURS, version: `${version}, Node ${process.versions.node}`, start }
}

async function start({ dir, upstream }: PeerPlace): Promise<RunningPeer> {
  const host = `127.0.0.1:${await freePort()}`
  const settings = {
    server: { listen: host },
    admin: { listen: `127.0.0.1:${await freePort()}` },
    // The machine's disk may be nearly full: that is not what is measured.
    storage: { dir: join(dir, 'data'), minFree: '0' },
    defaultUpstream: 'registry.test',
    upstreams: { 'registry.test': { url: upstream } },
  }
  const file = join(dir, 'mirror.config.json')
  await writeFile(file, JSON.stringify(settings))
  const script = await startScript()
  const server = await startServer(process.execPath, [...script.args, 'serve', '-c', file], {
    log: join(dir, 'log'),
    env: script.env,
    cwd: ROOT,
    isReady: () => answers(`http://${host}/readyz`, [200]),
  })
  return { ...server, url: `http://${host}` }
}
