import { stat } from 'node:fs/promises'
import { MaintenanceError } from '../../core/maintenance/maintenance-error.ts'
import { BundleError } from '../bundle/bundle-error.ts'
import { HEADER_ENTRY, INDEX_ENTRY, LAYOUT_ENTRY } from '../bundle/entry-name.ts'
import type { ArchiveFile } from './archive-file.ts'
import type { BundlePart } from './bundle-cargo.ts'
import { cargoOfParts, inspectPart } from './bundle-cargo.ts'
import type { Cargo } from './cargo.ts'
import { cargoOfDockerArchive } from './docker-cargo.ts'
import { DOCKER_ENTRY } from './docker-manifest.ts'
import type { ForeignFile } from './foreign-archive.ts'
import { listEntries } from './foreign-archive.ts'
import { cargoOfLayout } from './layout-cargo.ts'
import { cargoOfStream } from './stream-cargo.ts'

interface Choice {
  /** The repository of what has no full name. */
  readonly name: string | undefined
  /** ms since the epoch: how old what comes without a date is taken to be. */
  readonly now: number
}

/**
 * Looks through everything before any of it is taken: what is no archive of images, or breaks a rule, is
 * refused while nothing has been done. Parts of one bundle come together, whatever their order. Throws
 * BundleError and MaintenanceError.
 */
export async function loadCargo(
  files: readonly ArchiveFile[],
  choice: Choice,
  signal: AbortSignal,
): Promise<readonly Cargo[]> {
  const parts = new Map<string, [BundlePart, ...BundlePart[]]>()
  const cargo: Cargo[] = []
  try {
    for (const file of files) {
      if (file.kind === 'stream') {
        cargo.push(await cargoOfStream(file.name, file.source))
        continue
      }
      const found = await look(file, choice, signal)
      if ('deliver' in found) cargo.push(found)
      else addPart(parts, found)
    }
  } catch (reason) {
    for (const one of cargo) await one.close()
    throw reason
  }
  return [...[...parts.values()].map(cargoOfParts), ...cargo]
}

function addPart(parts: Map<string, [BundlePart, ...BundlePart[]]>, part: BundlePart): void {
  const { id } = part.header
  const earlier = parts.get(id)
  const isTwice = earlier?.some(({ header }) => header.part === part.header.part) === true
  if (isTwice) return
  if (earlier === undefined) parts.set(id, [part])
  else earlier.push(part)
}

async function look(
  file: ForeignFile,
  { name, now }: Choice,
  signal: AbortSignal,
): Promise<Cargo | BundlePart> {
  const listing = await listEntries(file, signal)
  const { files, links } = listing
  if (files.has(HEADER_ENTRY) && file.kind === 'file') return inspectPart(file, signal)
  const created = file.kind === 'directory' ? (await stat(file.path)).mtimeMs : now
  const age = Math.min(now, Math.floor(created))
  if (files.has(LAYOUT_ENTRY) && files.has(INDEX_ENTRY)) {
    const [link] = links.keys()
    if (link === undefined) return cargoOfLayout(file, listing, name, age)
    throw new BundleError(
      'refused',
      `${file.name}: ${JSON.stringify(link)} is a link, not a plain file`,
    )
  }
  if (files.has(DOCKER_ENTRY)) return cargoOfDockerArchive(file, listing, name, age)
  const kinds = `a bundle (${HEADER_ENTRY}), an OCI layout (${LAYOUT_ENTRY}, ${INDEX_ENTRY}) or what docker save writes (${DOCKER_ENTRY})`
  throw new MaintenanceError(
    'invalid',
    `${file.name} is no archive of images: it would be ${kinds}`,
  )
}
