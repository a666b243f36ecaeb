import { isAbsolute, resolve } from 'node:path'
import type { ListedReference } from '../../core/airgap/warm-api.ts'
import { formatProblem } from '../discover/image-lists.ts'
import { isThere } from '../discover/is-there.ts'
import type { ImageInput } from '../discover/read-image-lists.ts'
import { readImageLists } from '../discover/read-image-lists.ts'

/** What a job warms: what was served within that time (ms), a path, or an image. */
export type JobSource = { readonly servedWithin: number } | { readonly input: string }

export interface JobImages {
  readonly images: readonly ListedReference[]
  /** What could not be read, each a sentence. */
  readonly problems: readonly string[]
}

export interface JobPlace {
  /** What paths are relative to. */
  readonly dir: string
  /** What its images are said to come from. */
  readonly name: string
  readonly env: Readonly<Record<string, string | undefined>>
  /** Images that clients have been given since then, ms since the epoch. */
  served(since: number): Promise<readonly string[]>
  now(): number
}

/** Cannot be part of an image's name, or is more likely a file that is not there. */
const FILE_NAME = /^(?:\.{0,2}\/|~)|\/$|\.(?:ya?ml|json|txt|lock)$/i

/** Reads what a job names, as it is now. What is wrong with one of them keeps no other from being read. */
export async function readJob(sources: readonly JobSource[], place: JobPlace): Promise<JobImages> {
  const images: ListedReference[] = []
  const inputs: ImageInput[] = []
  const problems: string[] = []
  for (const source of sources) {
    if ('servedWithin' in source) {
      const served = await place.served(place.now() - source.servedWithin)
      images.push(...served.map((reference) => ({ reference, from: "the mirror's log" })))
      continue
    }
    const path = resolve(place.dir, source.input)
    if (await isThere(path)) inputs.push({ kind: 'path', path, shownAs: source.input })
    else if (isAbsolute(source.input) || FILE_NAME.test(source.input)) {
      problems.push(`${path}: there is no such file or directory`)
    } else images.push({ reference: source.input, from: place.name })
  }
  const lists = await readImageLists(inputs, { env: place.env })
  problems.push(...lists.problems.map(formatProblem))
  images.push(...lists.images.map(({ reference, from }) => ({ reference, from })))
  return { images, problems }
}
