import { join } from 'node:path'
import { Program, runCommand } from './programs.ts'
import type { ImageName, PullClient } from './pull-client.ts'
import { formatImage, writeConfig } from './pull-client.ts'

export interface Containerd {
  /** A client whose hosts.toml sends the images of a registry to `url`, which is in the mirror. */
  client(registry: string, url: string): Promise<PullClient>
  stop(): Promise<void>
}

type Ctr = (...args: readonly string[]) => Promise<string>

// None of them is needed for pulls, and each wants something of the machine.
const DISABLED_PLUGINS = [
  'io.containerd.grpc.v1.cri',
  'io.containerd.internal.v1.opt',
  'io.containerd.tracing.processor.v1.otlp',
  'io.containerd.internal.v1.tracing',
]

/** Debian's containerd with root, state and socket of its own. */
export async function startContainerd(dir: string): Promise<Containerd> {
  const socket = join(dir, 'containerd.sock')
  const config = await writeConfig(
    dir,
    'config.toml',
    [
      'version = 2',
      `root = "${join(dir, 'root')}"`,
      `state = "${join(dir, 'state')}"`,
      `disabled_plugins = ${JSON.stringify(DISABLED_PLUGINS)}`,
      '[grpc]',
      `address = "${socket}"`,
      '',
    ].join('\n'),
  )
  const program = Program.start('containerd', ['--config', config])
  const ctr: Ctr = (...args) => runCommand('ctr', ['--address', socket, ...args])
  await program.ready(() =>
    ctr('version').then(
      () => true,
      // Not listening yet.
      () => false,
    ),
  )
  let clients = 0
  return {
    client: async (registry, url) => {
      clients += 1
      const hostsDir = join(dir, `hosts-${clients}`)
      await writeHosts(hostsDir, registry, url)
      return { pull: (image) => pull(ctr, hostsDir, image) }
    },
    stop: async () => void (await program.stop()),
  }
}

async function writeHosts(hostsDir: string, registry: string, url: string): Promise<void> {
  // `server` too is the mirror: nothing falls back to the real registry.
  const lines = [`server = "${url}"`, `[host."${url}"]`, 'capabilities = ["pull", "resolve"]', '']
  // containerd's folder for a registry with a port: example.com_5000_
  const folder = join(hostsDir, registry.replace(/:(\d+)$/, '_$1_'))
  await writeConfig(folder, 'hosts.toml', lines.join('\n'))
}

async function pull(ctr: Ctr, hostsDir: string, image: ImageName): Promise<ReadonlySet<string>> {
  await clear(ctr)
  // The native snapshotter needs no overlay file system, which a container may not have.
  const options = ['--hosts-dir', hostsDir, '--snapshotter', 'native', '--all-platforms']
  await ctr('images', 'pull', ...options, formatImage(image))
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
