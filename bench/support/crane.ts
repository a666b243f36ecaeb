import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { goProgram, installGoProgram } from '../../test/e2e/support/go-programs.ts'
import { runCommand } from '../../test/e2e/support/programs.ts'
import type { ImageClient } from './image-client.ts'
import { nameAt, PULL_MS, secondsOf } from './image-client.ts'

/** `tarball`, its default, is written layer by layer; for `oci` it asks for all layers at once. */
type Format = 'tarball' | 'oci'

/** `crane pull`, which checks every digest and keeps nothing between pulls. */
export async function createCrane(dir: string, format: Format): Promise<ImageClient> {
  await installGoProgram('crane')
  const target = join(dir, `crane-${format}`)
  return {
    pull: async (url, image) => {
      const args = ['pull', '--insecure', '--format', format, nameAt(url, image), target]
      const seconds = await secondsOf(() =>
        runCommand(goProgram('crane'), args, { timeoutMs: PULL_MS }),
      )
      await rm(target, { recursive: true })
      return seconds
    },
    stop: async () => undefined,
  }
}
