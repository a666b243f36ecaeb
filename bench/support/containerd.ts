import { CONTAINERD_2, startContainerd } from '../../test/e2e/clients/containerd.ts'
import type { Containerd } from '../../test/e2e/clients/containerd.ts'
import { installGoProgram } from '../../test/e2e/support/go-programs.ts'
import type { BenchImage } from '../work/work.ts'
import type { ImageClient } from './image-client.ts'
import { nameAt, PULL_MS, secondsOf } from './image-client.ts'

/**
 * containerd 2 with a root of its own, pulling by its transfer service: three layers at a time, as it comes. With
 * `--all-platforms` it stores what it pulls and unpacks nothing, so that no snapshotter is measured.
 */
export async function startContainerdClient(dir: string): Promise<ImageClient> {
  for (const name of ['containerd', 'ctr'] as const) await installGoProgram(name)
  const daemon = await startContainerd({ dir, release: CONTAINERD_2, env: process.env })
  return { pull: (url, image) => pull(daemon, url, image), stop: () => daemon.stop() }
}

const OPTIONS = ['--plain-http', '--all-platforms']

async function pull({ run }: Containerd, url: string, image: BenchImage): Promise<number> {
  const name = nameAt(url, image)
  const timeout = ['--timeout', `${PULL_MS / 1000}s`]
  const seconds = await secondsOf(() => run(...timeout, 'images', 'pull', ...OPTIONS, name))
  const stored = await storedDigests(run)
  const wanted = [image.digest, image.config.digest, ...image.layers.map(({ digest }) => digest)]
  const missing = wanted.filter((digest) => !stored.has(digest))
  if (missing.length > 0) throw new Error(`containerd did not store ${missing.join(' ')}`)
  // `--sync` waits until the content has gone too: the next pull starts from nothing.
  await run('images', 'rm', '--sync', name)
  const left = await storedDigests(run)
  if (left.size > 0) throw new Error(`containerd kept ${[...left].join(' ')}`)
  return seconds
}

async function storedDigests(run: Containerd['run']): Promise<ReadonlySet<string>> {
  const printed = await run('content', 'ls', '-q')
  return new Set(printed.split('\n').filter((digest) => digest !== ''))
}
