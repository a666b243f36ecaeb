import { join } from 'node:path'
import { goProgram } from '../support/go-programs.ts'
import { Program, runCommand } from '../support/programs.ts'
import type { ImageName, PullClient } from './pull-client.ts'
import { allDigests, formatImage, writeConfig } from './pull-client.ts'

/** Which program, and what is particular about it. */
export interface ContainerdRelease {
  readonly daemon: string
  readonly ctr: string
  /** Of the configuration file's form. */
  readonly configVersion: number
  /** None of them is needed for pulls, and each wants something of the machine. */
  readonly disabledPlugins: readonly string[]
}

const DISABLED = [
  'io.containerd.grpc.v1.cri',
  'io.containerd.internal.v1.opt',
  'io.containerd.tracing.processor.v1.otlp',
  'io.containerd.internal.v1.tracing',
]

/** Debian's. */
export const CONTAINERD_1: ContainerdRelease = {
  daemon: 'containerd',
  ctr: 'ctr',
  configVersion: 2,
  disabledPlugins: DISABLED,
}

export const CONTAINERD_2: ContainerdRelease = {
  daemon: goProgram('containerd'),
  ctr: goProgram('ctr'),
  configVersion: 3,
  disabledPlugins: [
    ...DISABLED,
    'io.containerd.cri.v1.images',
    'io.containerd.cri.v1.runtime',
    'io.containerd.nri.v1.nri',
  ],
}

interface Options {
  readonly dir: string
  readonly release: ContainerdRelease
  /** Lines of its configuration file. */
  readonly settings?: readonly string[]
  readonly env: NodeJS.ProcessEnv
}

interface ClientOptions {
  /** A folder with a folder for each registry, which has its hosts.toml. */
  readonly hostsDir: string
  /** More options of `ctr images pull`, such as `--local`. */
  readonly pullOptions?: readonly string[]
}

export interface Containerd {
  /** `ctr`: answers what it prints, fails with its errors. */
  readonly run: Ctr
  client(options: ClientOptions): PullClient
  stop(): Promise<void>
}

type Ctr = (...args: readonly string[]) => Promise<string>

/** containerd with root, state and socket of its own. */
export async function startContainerd(options: Options): Promise<Containerd> {
  const { dir, release, settings = [], env } = options
  const socket = join(dir, 'containerd.sock')
  const config = await writeConfig(
    dir,
    'config.toml',
    [
      `version = ${release.configVersion}`,
      `root = "${join(dir, 'root')}"`,
      `state = "${join(dir, 'state')}"`,
      `disabled_plugins = ${JSON.stringify(release.disabledPlugins)}`,
      '[grpc]',
      `address = "${socket}"`,
      ...settings,
      '',
    ].join('\n'),
  )
  const program = Program.start(release.daemon, ['--config', config], { env })
  const ctr: Ctr = (...args) => runCommand(release.ctr, ['--address', socket, ...args], { env })
  await program.ready(() =>
    ctr('version').then(
      () => true,
      // Not listening yet.
      () => false,
    ),
  )
  return {
    run: ctr,
    client: (client) => ({ expected: allDigests, pull: (image) => pull(ctr, client, image) }),
    stop: async () => void (await program.stop()),
  }
}

interface Hosts {
  readonly registry: string
  /** In the mirror. */
  readonly url: string
  /** The URL has its `/v2` already. */
  readonly overridePath?: boolean
}

/** Settings that `oci-mirror client-config` does not write, and operators do. Answers the hosts folder. */
export async function writeHosts(dir: string, hosts: Hosts): Promise<string> {
  const { registry, url, overridePath = false } = hosts
  const override = `override_path = ${overridePath}`
  // `server` too is the mirror: nothing falls back to the real registry.
  const server = [`server = "${url}"`, 'capabilities = ["pull", "resolve"]', override]
  const lines = [...server, `[host."${url}"]`, ...server.slice(1), '']
  await writeConfig(join(dir, registry), 'hosts.toml', lines.join('\n'))
  return dir
}

async function pull(
  ctr: Ctr,
  { hostsDir, pullOptions = [] }: ClientOptions,
  image: ImageName,
): Promise<ReadonlySet<string>> {
  await clear(ctr)
  // The native snapshotter needs no overlay file system, which a container may not have.
  const options = ['--hosts-dir', hostsDir, '--snapshotter', 'native', '--all-platforms']
  await ctr('images', 'pull', ...options, ...pullOptions, formatImage(image))
  return new Set(words(await ctr('content', 'ls', '-q')))
}

/** `--sync` waits for the garbage collection, so that the next pull starts from nothing. */
async function clear(ctr: Ctr): Promise<void> {
  const images = words(await ctr('images', 'ls', '-q'))
  if (images.length > 0) await ctr('images', 'rm', '--sync', ...images)
  const left = words(await ctr('content', 'ls', '-q'))
  if (left.length > 0) throw new Error(`containerd kept ${left.join(' ')}`)
}

function words(text: string): readonly string[] {
  return text.split(/\s+/).filter((word) => word !== '')
}
