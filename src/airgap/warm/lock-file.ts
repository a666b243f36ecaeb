import { stringify } from 'yaml'
import type { WarmReport } from '../../core/airgap/warm-api.ts'

const COMMENT = ` What each image was when \`oci-mirror warm --lock\` fetched it. An input like any other list:
 its images are warmed, checked and exported by their digests.`

/** The text of a lock file: what is wholly here, by name, with its digests. */
export function formatLock({ images }: WarmReport): string {
  const entries = images
    .filter(({ state }) => state === 'held' || state === 'fetched')
    .map(({ image, digest, platforms }) => ({
      image: image.replace(/@.*$/, ''),
      digest,
      ...(platforms.length > 0 && {
        platforms: Object.fromEntries(platforms.map((one) => [one.platform, one.digest])),
      }),
    }))
    .toSorted((a, b) => (a.image < b.image ? -1 : 1))
  const comment = COMMENT.split('\n').map((line) => `#${line}`)
  return `${comment.join('\n')}\n${stringify({ images: entries }, { lineWidth: 0 })}`
}
