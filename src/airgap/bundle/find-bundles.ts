import { readdir, readFile, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { BundleError } from './bundle-error.ts'
import type { BundleHeader } from './bundle-header.ts'
import { MAX_HEADER_BYTES } from './bundle-header.ts'
import { parseBundleHeader } from './parse-bundle-header.ts'

/** The tars that somebody means by a path. */
export interface FoundBundles {
  readonly tars: readonly string[]
  /** What has to be there as well, and is not. */
  readonly missing: readonly string[]
  /** Which bundle they have to be of, if the path says so. */
  readonly header?: BundleHeader
}

/**
 * A tar means itself, a directory every tar in it, and the list beside a bundle all the parts of that. Of what
 * is neither, `undefined`. Throws BundleError for a list that cannot be read.
 */
export async function findBundles(path: string): Promise<FoundBundles | undefined> {
  const stats = await stat(path).catch(() => undefined)
  if (stats?.isDirectory() === true) {
    const names = (await readdir(path)).filter((name) => name.endsWith('.tar')).toSorted()
    const tars = names.map((name) => join(path, name))
    return tars.length === 0 ? undefined : { tars, missing: [] }
  }
  if (stats?.isFile() !== true) return undefined
  if (!path.endsWith('.json')) return { tars: [path], missing: [] }
  if (stats.size > MAX_HEADER_BYTES) return undefined
  const header = await readHeader(path)
  const expected = namesOf(header, basename(path, '.json'))
  const there = new Set(await readdir(dirname(path)))
  const inPlace = (name: string) => join(dirname(path), name)
  return {
    tars: expected.filter((name) => there.has(name)).map(inPlace),
    missing: expected.filter((name) => !there.has(name)).map(inPlace),
    header,
  }
}

async function readHeader(path: string): Promise<BundleHeader> {
  try {
    return parseBundleHeader(await readFile(path))
  } catch (cause) {
    if (!(cause instanceof BundleError)) throw cause
    throw new BundleError(cause.problem, `${path}: ${cause.message}`, { cause })
  }
}

/** As the export names them. */
function namesOf({ parts }: BundleHeader, stem: string): readonly string[] {
  if (parts === undefined) return [`${stem}.tar`]
  return Array.from({ length: parts.count }, (_, at) => partName(stem, at + 1, parts.count))
}

/** `week34.001.tar`; `part` from 1. */
export function partName(stem: string, part: number, count: number): string {
  const digits = Math.max(3, String(count).length)
  return `${stem}.${String(part).padStart(digits, '0')}.tar`
}
