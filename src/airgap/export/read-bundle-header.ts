import { createReadStream } from 'node:fs'
import { BundleError } from '../bundle/bundle-error.ts'
import type { BundleHeader } from '../bundle/bundle-header.ts'
import { readBundle } from '../bundle/read-bundle.ts'

/** The first entries tell all: the rest of the archive is not read. Throws BundleError for what is no bundle. */
export async function readBundleHeader(path: string, signal: AbortSignal): Promise<BundleHeader> {
  let found: BundleHeader | undefined
  const enough = new Error('the header is all that is wanted')
  const handlers = {
    header: async (header: BundleHeader) => {
      found = header
      throw enough
    },
    blob: async () => {},
  }
  try {
    await readBundle(createReadStream(path), handlers, signal)
  } catch (reason) {
    if (reason !== enough) throw reason
  }
  if (found === undefined) throw new BundleError('refused', 'it has no header')
  return found
}
