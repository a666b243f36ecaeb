import { BundleError } from '../bundle/bundle-error.ts'
import type { BundleEntry } from '../bundle/bundle-handlers.ts'
import type { BundleHeader } from '../bundle/bundle-header.ts'
import type { ByteSource } from '../bundle/byte-reader.ts'
import { readBundle } from '../bundle/read-bundle.ts'
import type { Digest } from '../../oci/digest.ts'
import { absentParts, factsOf } from './bundle-cargo.ts'
import type { Cargo, TakeBlob } from './cargo.ts'
import { inFile } from './in-file.ts'

/** A bundle that comes once, from its header to its end. Resolves when the header has come. Throws BundleError. */
export async function cargoOfStream(name: string, source: ByteSource): Promise<Cargo> {
  const header = Promise.withResolvers<BundleHeader>()
  const start =
    Promise.withResolvers<(entry: BundleEntry, body: AsyncIterable<Uint8Array>) => Promise<void>>()
  // Whoever closes it before it is delivered has a reason of its own.
  start.promise.catch(() => {})
  const stopped = new AbortController()
  const handlers = {
    header: async (found: BundleHeader) => {
      header.resolve(found)
      await start.promise
    },
    blob: async (entry: BundleEntry, body: AsyncIterable<Uint8Array>) => {
      const take = await start.promise
      await take(entry, body)
    },
  }
  const reading = inFile(name, () => readBundle(source, handlers, stopped.signal))
  reading.catch((reason: unknown) => header.reject(withHint(reason)))
  const found = await header.promise
  return {
    ...factsOf(found, name),
    absent: absentParts(found, [{ header: found }]),
    manifests: undefined,
    deliver(wanted: ReadonlySet<Digest>, take: TakeBlob, signal: AbortSignal) {
      signal.addEventListener('abort', () => stopped.abort(signal.reason), { once: true })
      start.resolve(async (entry, body) => {
        if (entry.piece !== undefined || !wanted.has(entry.digest)) return
        await take({ ...entry, place: `${name}: ${entry.name}` }, body)
      })
      return reading
    },
    async close() {
      start.reject(new Error('nothing of it is wanted'))
      // Its end was ours.
      await reading.catch(() => {})
    },
  }
}

/** Before there is a header, it is most likely the archive of another tool. */
function withHint(reason: unknown): unknown {
  if (!(reason instanceof BundleError) || reason.problem !== 'refused') return reason
  const hint = 'other archives have to be files, because they are read more than once'
  return new BundleError('refused', `${reason.message}; ${hint}`, { cause: reason })
}
