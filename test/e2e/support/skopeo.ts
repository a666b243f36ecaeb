import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { runCommand } from './programs.ts'
import type { PullClient } from './pull-client.ts'
import { formatImage, layoutDigests, writeConfig } from './pull-client.ts'

/** skopeo with a registries.conf that puts the mirror, and a path in it, before the registry. */
export async function createSkopeo(
  dir: string,
  registry: string,
  location: string,
): Promise<PullClient> {
  // The outer `location` is where it goes when the mirror fails: the mirror again, never outside.
  const place = [`location = "${location}"`, 'insecure = true']
  const lines = [
    '[[registry]]',
    `prefix = "${registry}"`,
    ...place,
    '[[registry.mirror]]',
    ...place,
  ]
  const config = await writeConfig(dir, 'registries.conf', `${lines.join('\n')}\n`)
  const accept = JSON.stringify({ default: [{ type: 'insecureAcceptAnything' }] })
  const policy = await writeConfig(dir, 'policy.json', accept)
  const layout = join(dir, 'layout')
  return {
    async pull(image) {
      await rm(layout, { recursive: true, force: true })
      const settings = ['--registries-conf', config, '--policy', policy]
      const copy = ['copy', '--all', '--preserve-digests']
      const [from, to] = [`docker://${formatImage(image)}`, `oci:${layout}:pulled`]
      await runCommand('skopeo', [...settings, ...copy, from, to])
      return layoutDigests(layout)
    },
  }
}
