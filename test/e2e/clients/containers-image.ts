import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { runCommand } from '../support/programs.ts'
import type { PullClient } from './pull-client.ts'
import {
  allDigests,
  formatImage,
  layoutDigests,
  unpackedDigests,
  writeConfig,
} from './pull-client.ts'

interface Options {
  /** For its configuration and what it pulls. */
  readonly dir: string
  readonly registriesConf: string
  readonly env: NodeJS.ProcessEnv
}

/** skopeo copies all platforms to an image layout. It ignores CONTAINERS_REGISTRIES_CONF. */
export async function createSkopeo({ dir, registriesConf, env }: Options): Promise<PullClient> {
  const policy = await writePolicy(dir)
  const layout = join(dir, 'layout')
  return {
    expected: allDigests,
    async pull(image) {
      await rm(layout, { recursive: true, force: true })
      const settings = ['--registries-conf', registriesConf, '--policy', policy]
      const copy = ['copy', '--all', '--preserve-digests']
      const [from, to] = [`docker://${formatImage(image)}`, `oci:${layout}:pulled`]
      await runCommand('skopeo', [...settings, ...copy, from, to], { env })
      return layoutDigests(layout)
    },
  }
}

/** podman unpacks one platform at a time into its storage. */
export async function createPodman(options: Options): Promise<PullClient> {
  const { env, policy } = await prepareStorage(options)
  const podman = (...args: readonly string[]) =>
    runCommand('podman', ['--events-backend', 'none', ...args], { env })
  return storageClient({
    clear: () => podman('rmi', '--all', '--force'),
    pull: (name, arch) =>
      podman('pull', '--quiet', '--signature-policy', policy, ...archOption(arch), name),
    inspect: async (name) => {
      const [{ Id, RootFS }] = JSON.parse(await podman('image', 'inspect', name)) as [PodmanImage]
      return [`sha256:${Id}`, ...RootFS.Layers]
    },
  })
}

interface PodmanImage {
  readonly Id: string
  readonly RootFS: { readonly Layers: readonly string[] }
}

/** buildah has podman's storage and its own pulls. */
export async function createBuildah(options: Options): Promise<PullClient> {
  const { env, policy } = await prepareStorage(options)
  const buildah = (...args: readonly string[]) => runCommand('buildah', args, { env })
  return storageClient({
    clear: () => buildah('rmi', '--all', '--force'),
    pull: (name, arch) =>
      buildah('pull', '--quiet', '--signature-policy', policy, ...archOption(arch), name),
    inspect: async (name) => {
      const printed = await buildah('inspect', '--type', 'image', name)
      const { FromImageID, OCIv1 } = JSON.parse(printed) as BuildahImage
      return [`sha256:${FromImageID}`, ...OCIv1.rootfs.diff_ids]
    },
  })
}

interface BuildahImage {
  readonly FromImageID: string
  readonly OCIv1: { readonly rootfs: { readonly diff_ids: readonly string[] } }
}

interface StorageCommands {
  clear(): Promise<unknown>
  pull(name: string, arch: string): Promise<unknown>
  /** Configuration and unpacked layers. */
  inspect(name: string): Promise<readonly string[]>
}

/** A client that unpacks images into a storage of its own, one platform at a time. */
export function storageClient(commands: StorageCommands): PullClient {
  return {
    expected: unpackedDigests,
    async pull(image, architectures) {
      const name = formatImage(image)
      const digests = new Set<string>()
      for (const arch of architectures) {
        // Each time: Docker does not replace what it has under a digest.
        await commands.clear()
        await commands.pull(name, arch)
        for (const digest of await commands.inspect(name)) digests.add(digest)
      }
      return digests
    },
  }
}

function archOption(arch: string): readonly string[] {
  return ['--arch', arch]
}

async function prepareStorage({ dir, registriesConf, env }: Options) {
  const storage = await writeConfig(
    dir,
    'storage.conf',
    [
      '[storage]',
      // Needs no overlay file system, which a container may not have.
      'driver = "vfs"',
      `graphroot = "${join(dir, 'storage')}"`,
      `runroot = "${join(dir, 'run')}"`,
      '',
    ].join('\n'),
  )
  const policy = await writePolicy(dir)
  // Credentials and short names of the machine's user are none of the test's business.
  const home = join(dir, 'home')
  await mkdir(home, { recursive: true })
  return {
    policy,
    env: {
      ...env,
      HOME: home,
      CONTAINERS_REGISTRIES_CONF: registriesConf,
      CONTAINERS_STORAGE_CONF: storage,
    },
  }
}

function writePolicy(dir: string): Promise<string> {
  const accept = JSON.stringify({ default: [{ type: 'insecureAcceptAnything' }] })
  return writeConfig(dir, 'policy.json', accept)
}
