import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { writeConfig } from '../clients/pull-client.ts'
import { Program, runCommand } from './programs.ts'

/** Unpacking and compiling on busy cores is no failure. */
const BUILD_MS = 600_000

interface BuildOptions {
  readonly tag: string
  readonly args?: Readonly<Record<string, string>>
  /** Files that `RUN --mount=type=secret,id=…` may see, by their id. */
  readonly secrets?: Readonly<Record<string, string>>
  /** `FROM:TO[:ro]`, for each RUN. */
  readonly mounts?: readonly string[]
}

/** buildah and podman with images, containers and volumes of their own, all in one folder. */
export class Containers {
  readonly #env: NodeJS.ProcessEnv
  readonly #policy: string

  private constructor(env: NodeJS.ProcessEnv, policy: string) {
    this.#env = env
    this.#policy = policy
  }

  static async open(dir: string): Promise<Containers> {
    const storage = [
      '[storage]',
      // Needs no overlay file system, which a container may not have.
      'driver = "vfs"',
      `graphroot = "${join(dir, 'storage')}"`,
      `runroot = "${join(dir, 'run')}"`,
    ]
    const accept = { default: [{ type: 'insecureAcceptAnything' }] }
    const policy = await writeConfig(dir, 'policy.json', JSON.stringify(accept))
    const conf = await writeConfig(dir, 'storage.conf', `${storage.join('\n')}\n`)
    const home = join(dir, 'home')
    await mkdir(home)
    return new Containers({ ...process.env, HOME: home, CONTAINERS_STORAGE_CONF: conf }, policy)
  }

  /** Builds the context's Dockerfile, from images that are here only; the build shares the machine's network. */
  async build(context: string, options: BuildOptions): Promise<void> {
    const { tag, args = {}, secrets = {}, mounts = [] } = options
    const flags = [
      // Needs no privilege that a container does not have.
      '--isolation=chroot',
      // The other format has no HEALTHCHECK.
      '--format=docker',
      '--network=host',
      '--pull-never',
      `--signature-policy=${this.#policy}`,
      `--tag=${tag}`,
      ...Object.entries(args).map(([name, value]) => `--build-arg=${name}=${value}`),
      ...Object.entries(secrets).map(([id, path]) => `--secret=id=${id},src=${path}`),
      ...mounts.map((mount) => `--volume=${mount}`),
    ]
    const run = { env: this.#env, timeoutMs: BUILD_MS }
    await runCommand('buildah', ['build', ...flags, context], run)
  }

  podman(...args: readonly string[]): Promise<string> {
    return runCommand('podman', podmanArgs(args), { env: this.#env })
  }

  /** `podman run` in the foreground: its output, its exit code, and signals are the container's. */
  run(...args: readonly string[]): Program {
    const flags = [
      '--network=host',
      // More than that a machine may not allow.
      '--ulimit=nofile=4096:4096',
      '--ulimit=nproc=4096:4096',
      // By hand only: a timer needs systemd.
      '--health-interval=disable',
    ]
    return Program.start('podman', podmanArgs(['run', ...flags, ...args]), { env: this.#env })
  }

  async close(): Promise<void> {
    await this.podman('rm', '--all', '--force', '--time=0')
  }
}

function podmanArgs(args: readonly string[]): readonly string[] {
  return ['--events-backend=none', '--cgroup-manager=cgroupfs', ...args]
}
