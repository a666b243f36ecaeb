import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { CRANE } from '../install.ts'
import { runCommand } from './programs.ts'
import type { PullClient } from './pull-client.ts'
import { formatImage, layoutDigests } from './pull-client.ts'

/** crane, which knows no mirrors: `place`, in the mirror, stands for the registry in image names. */
export function createCrane(dir: string, place: string): PullClient {
  const layout = join(dir, 'crane-layout')
  return {
    async pull(image) {
      await rm(layout, { recursive: true, force: true })
      const name = formatImage({ ...image, registry: place })
      await runCommand(CRANE, ['pull', '--insecure', '--format', 'oci', name, layout])
      return layoutDigests(layout)
    },
  }
}
