import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { goProgram, installGoProgram } from '../../test/e2e/support/go-programs.ts'
import { answers, freePort, runCommand } from '../../test/e2e/support/programs.ts'
import { ensureDebianPackage } from '../../test/e2e/support/debian-packages.ts'
import type { Peer, PeerPlace, RunningPeer } from '../support/peer.ts'
import type { Server } from '../support/server.ts'
import { startServer } from '../support/server.ts'

const DEBIAN = 'docker-registry'

interface RegistryOptions {
  readonly program: string
  readonly dir: string
  /** What it mirrors; without it, it is a registry. */
  readonly mirrors?: string
}

export async function findDistribution2(): Promise<Peer> {
  await ensureDebianPackage(DEBIAN)
  return distribution('distribution-2', DEBIAN)
}

export async function findDistribution3(): Promise<Peer> {
  await installGoProgram('registry')
  return distribution('distribution-3', goProgram('registry'))
}

async function distribution(name: string, program: string): Promise<Peer> {
  const printed = await runCommand(program, ['--version'])
  return {
    name,
    version: printed.trim().split(' ').at(-1) ?? '',
    start: (place) => startMirroring(program, place),
  }
}

async function startMirroring(program: string, { dir, upstream }: PeerPlace): Promise<RunningPeer> {
  return startRegistry({ program, dir, mirrors: upstream })
}

/** CNCF Distribution, whose releases 2 and 3 read the same configuration. */
export async function startRegistry({
  program,
  dir,
  mirrors,
}: RegistryOptions): Promise<Server & { readonly url: string }> {
  const host = `127.0.0.1:${await freePort()}`
  const settings = {
    version: '0.1',
    // One line a request, as others write: at its level "info" there would be a second one.
    log: { level: 'warn', accesslog: { disabled: mirrors === undefined } },
    storage: {
      // As in the configuration that it is delivered with.
      cache: { blobdescriptor: 'inmemory' },
      filesystem: { rootdirectory: join(dir, 'storage') },
    },
    http: { addr: host, secret: 'bench' },
    ...(mirrors === undefined ? {} : { proxy: { remoteurl: mirrors } }),
  }
  const file = join(dir, 'config.yml')
  // JSON is YAML.
  await writeFile(file, JSON.stringify(settings))
  const server = await startServer(program, ['serve', file], {
    log: join(dir, 'log'),
    // Release 3 sends traces to a collector unless it is told not to.
    env: { OTEL_TRACES_EXPORTER: 'none' },
    isReady: () => answers(`http://${host}/v2/`, [200]),
  })
  return { ...server, url: `http://${host}` }
}
