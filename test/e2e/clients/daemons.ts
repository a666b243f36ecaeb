import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Stage } from '../support/stage.ts'
import { HUB } from '../support/stage.ts'
import type { Containerd } from './containerd.ts'
import { CONTAINERD_1, CONTAINERD_2, startContainerd, writeHosts } from './containerd.ts'
import type { Docker } from './docker.ts'
import { startDocker } from './docker.ts'

/** The clients that are daemons, and the files that `oci-mirror client-config` wrote for all of them. */
export interface Daemons extends AsyncDisposable {
  readonly containerd1: Containerd
  readonly containerd2: Containerd
  /** Fetches a layer in parallel ranges. */
  readonly containerd2Parallel: Containerd
  readonly docker: Docker
  /** containerd's folder of hosts.toml files. */
  readonly hostsDir: string
  /** The same, but with the mirror's URL having Docker Hub's name before `/v2`. */
  readonly hostsBeforeV2: string
  /** … or behind it, as k3s and Talos write it. */
  readonly hostsBehindV2: string
  /** podman's, buildah's and skopeo's file. */
  readonly registriesConf: string
}

/** How large a piece each of containerd's parallel requests takes of a layer. */
export const PARALLEL_CHUNK = 512 * 1024

export const PARALLEL_SETTINGS = [
  '[plugins."io.containerd.transfer.v1.local"]',
  'max_concurrent_downloads = 4',
  `concurrent_layer_fetch_buffer = ${PARALLEL_CHUNK}`,
]

export async function startDaemons(stage: Stage): Promise<Daemons> {
  await using stack = new AsyncDisposableStack()
  const { dir, mirror, outside } = stage
  const { env } = outside
  const start = async (name: string, options: Omit<ContainerdOptions, 'dir' | 'env'>) =>
    stack.adopt(await startContainerd({ ...options, dir: join(dir, name), env }), (daemon) =>
      daemon.stop(),
    )
  const files = await writeClientFiles(stage)
  const containerd1 = await start('containerd-1', { release: CONTAINERD_1 })
  const containerd2 = await start('containerd-2', { release: CONTAINERD_2 })
  const containerd2Parallel = await start('containerd-2-parallel', {
    release: CONTAINERD_2,
    settings: PARALLEL_SETTINGS,
  })
  const settings = JSON.parse(await readFile(files.daemonJson, 'utf8')) as object
  const docker = await startDocker({ dir: join(dir, 'docker'), settings, env })
  stack.adopt(docker, (daemon) => daemon.stop())
  const owned = stack.move()
  return {
    containerd1,
    containerd2,
    containerd2Parallel,
    docker,
    ...files,
    hostsBeforeV2: await writeHosts(join(dir, 'hosts-before'), {
      registry: HUB,
      url: `${mirror.url}/${HUB}`,
    }),
    hostsBehindV2: await writeHosts(join(dir, 'hosts-behind'), {
      registry: HUB,
      url: `${mirror.url}/v2/${HUB}`,
      overridePath: true,
    }),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

type ContainerdOptions = Parameters<typeof startContainerd>[0]

/** With the fallback to the real registry, as they are by default: `Outside` sees who uses it. */
async function writeClientFiles({ dir, mirror }: Stage) {
  const write = async (client: string) => {
    const folder = join(dir, `files-${client}`)
    await mkdir(folder)
    await mirror.command('client-config', client, '--url', mirror.url, '--write', folder)
    return folder
  }
  return {
    hostsDir: await write('containerd'),
    daemonJson: join(await write('docker'), 'daemon.json'),
    registriesConf: join(await write('podman'), 'oci-mirror.conf'),
  }
}
