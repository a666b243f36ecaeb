import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { DOCKER } from '../support/debian-packages.ts'
import { Program, runCommand } from '../support/programs.ts'
import type { PullClient } from './pull-client.ts'
import { writeConfig } from './pull-client.ts'
import { storageClient } from './containers-image.ts'

interface Options {
  readonly dir: string
  /** What the operator adds to daemon.json. */
  readonly settings: object
  readonly env: NodeJS.ProcessEnv
}

export interface Docker {
  /** `place`, if given, stands for the registry in image names: pulls by explicit name. */
  client(place?: string): PullClient
  /** Its command line: answers what it prints, fails with its errors. */
  run(...args: readonly string[]): Promise<string>
  stop(): Promise<void>
}

/** Debian's dockerd with everything of its own, and without a network for containers, which nobody runs. */
export async function startDocker({ dir, settings, env }: Options): Promise<Docker> {
  await mkdir(dir, { recursive: true })
  const socket = `unix://${join(dir, 'docker.sock')}`
  const config = await writeConfig(
    dir,
    'daemon.json',
    JSON.stringify({
      ...settings,
      hosts: [socket],
      'data-root': join(dir, 'data'),
      'exec-root': join(dir, 'exec'),
      pidfile: join(dir, 'docker.pid'),
      // Needs no overlay file system, which a container may not have.
      'storage-driver': 'vfs',
      bridge: 'none',
      iptables: false,
      ip6tables: false,
      'ip-forward': false,
      'ip-masq': false,
      'userland-proxy': false,
    }),
  )
  const program = Program.start('dockerd', ['--config-file', config], { env })
  // A place of its own for what `docker login` keeps.
  const clientEnv = { ...env, DOCKER_CONFIG: join(dir, 'client') }
  const docker = (...args: readonly string[]) =>
    runCommand(DOCKER, ['--host', socket, ...args], { env: clientEnv })
  await program.ready(() =>
    docker('version').then(
      () => true,
      // Not listening yet.
      () => false,
    ),
  )
  return {
    run: docker,
    client: (place) => {
      const client = pullsWith(docker)
      if (place === undefined) return client
      return {
        ...client,
        pull: (image, architectures) => client.pull({ ...image, registry: place }, architectures),
      }
    },
    stop: async () => void (await program.stop()),
  }
}

function pullsWith(docker: Docker['run']): PullClient {
  return storageClient({
    clear: async () => {
      const ids = (await docker('image', 'ls', '--quiet', '--all', '--no-trunc')).split('\n')
      const known = new Set(ids.filter((id) => id !== ''))
      if (known.size > 0) await docker('image', 'rm', '--force', ...known)
    },
    pull: (name, arch) => docker('pull', '--quiet', '--platform', `linux/${arch}`, name),
    inspect: async (name) => {
      const [{ Id, RootFS }] = JSON.parse(await docker('image', 'inspect', name)) as [DockerImage]
      return [Id, ...RootFS.Layers]
    },
  })
}

interface DockerImage {
  readonly Id: string
  readonly RootFS: { readonly Layers: readonly string[] }
}
