import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { goProgram } from '../support/go-programs.ts'
import { ORAS_PYTHON_ENV } from '../support/oras-python.ts'
import { runCommand } from '../support/programs.ts'
import type { ImageName, PullClient } from './pull-client.ts'
import { allDigests, fileDigests, formatImage, layerDigests, layoutDigests } from './pull-client.ts'

/** Tools that know no mirrors: `place`, in the mirror, stands for the registry in image names. */
export interface ExplicitOptions {
  /** For what it pulls. */
  readonly dir: string
  /** `host:port`, or with the upstream behind it. */
  readonly place: string
  readonly env: NodeJS.ProcessEnv
}

export function createCrane({ dir, place, env }: ExplicitOptions): PullClient {
  return {
    expected: allDigests,
    pull: (image) =>
      intoLayout(dir, async (layout) => {
        const args = ['pull', '--insecure', '--format', 'oci', named(image, place), layout]
        await runCommand(goProgram('crane'), args, { env })
      }),
  }
}

export function createRegctl({ dir, place, env }: ExplicitOptions): PullClient {
  const [host = ''] = place.split('/')
  return {
    expected: allDigests,
    pull: (image) =>
      intoLayout(dir, async (layout) => {
        const copy = ['image', 'copy', named(image, place), `ocidir://${layout}:pulled`]
        const args = ['--host', `reg=${host},tls=disabled`, ...copy]
        await runCommand(goProgram('regctl'), args, { env: { ...env, HOME: dir } })
      }),
  }
}

/** Pulls charts: tags are versions, and only the chart itself is kept. */
export function createHelm({ dir, place, env }: ExplicitOptions): PullClient {
  return {
    expected: layerDigests,
    pull: (image) =>
      intoFolder(dir, async (folder) => {
        const name = formatImage({ ...image, registry: place })
        const { reference } = image
        const [chart, version] =
          'tag' in reference
            ? [name.replace(/:[^:/]*$/, ''), ['--version', reference.tag]]
            : [name, []]
        const args = ['pull', `oci://${chart}`, ...version, '--plain-http', '-d', folder]
        await runCommand(goProgram('helm'), args, { env: { ...env, HOME: dir } })
      }),
  }
}

const ORAS_PULL = `
import sys
import oras.client
target, outdir = sys.argv[1:]
oras.client.OrasClient(insecure=True).pull(target=target, outdir=outdir)
`

/** The Python library. Pulls the files of an artifact. */
export function createOras({ dir, place, env }: ExplicitOptions): PullClient {
  return {
    expected: layerDigests,
    pull: (image) =>
      intoFolder(dir, async (folder) => {
        const args = ['-c', ORAS_PULL, named(image, place), folder]
        await runCommand('python3', args, { env: { ...env, ...ORAS_PYTHON_ENV, HOME: dir } })
      }),
  }
}

function named(image: ImageName, place: string): string {
  return formatImage({ ...image, registry: place })
}

async function intoLayout(
  dir: string,
  pull: (layout: string) => Promise<void>,
): Promise<ReadonlySet<string>> {
  const layout = join(dir, 'layout')
  await mkdir(dir, { recursive: true })
  await rm(layout, { recursive: true, force: true })
  await pull(layout)
  return layoutDigests(layout)
}

async function intoFolder(
  dir: string,
  pull: (folder: string) => Promise<void>,
): Promise<ReadonlySet<string>> {
  const folder = join(dir, 'pulled')
  await rm(folder, { recursive: true, force: true })
  await mkdir(folder, { recursive: true })
  await pull(folder)
  return fileDigests(folder)
}
