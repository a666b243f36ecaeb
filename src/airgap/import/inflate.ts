import { Readable, Transform } from 'node:stream'
import { pipeline } from 'node:stream'
import { createGunzip, createZstdDecompress } from 'node:zlib'
import { BundleError } from '../bundle/bundle-error.ts'
import type { ByteSource } from '../bundle/byte-reader.ts'

export type Compression = 'gzip' | 'zstd'

/** What an archive may become, for each byte of it, and besides. Images do not come near. */
const MAX_RATIO = 250
const ALLOWANCE = 64 * 1024 * 1024

/** By the first bytes of a file. */
export function detectCompression(start: Uint8Array): Compression | undefined {
  const [a, b, c, d] = start
  if (a === 0x1f && b === 0x8b) return 'gzip'
  if (a === 0x28 && b === 0xb5 && c === 0x2f && d === 0xfd) return 'zstd'
  return undefined
}

/** Unpacked while it is read. Throws BundleError for what is damaged, cut short, or made to fill disks. */
export async function* inflate(
  packed: ByteSource,
  compression: Compression,
): AsyncGenerator<Uint8Array> {
  let came = 0
  const counter = new Transform({
    transform(chunk: Buffer, _, done) {
      came += chunk.length
      done(null, chunk)
    },
  })
  const unpack = compression === 'gzip' ? createGunzip() : createZstdDecompress()
  // A failure of any of them ends the last one, which is read below.
  pipeline(Readable.from(packed), counter, unpack, () => {})
  const chunks: AsyncIterable<Buffer> = unpack
  let left = 0
  try {
    for await (const chunk of chunks) {
      left += chunk.length
      if (left > came * MAX_RATIO + ALLOWANCE) {
        const what = `the archive is more than ${MAX_RATIO} times as large unpacked`
        throw new BundleError('refused', `${what}: unpack it (${compression}) and look at it first`)
      }
      yield chunk
    }
  } catch (cause) {
    throw explain(cause, compression)
  }
}

function explain(cause: unknown, compression: Compression): unknown {
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : ''
  if (code === 'Z_BUF_ERROR' || /unexpected end/i.test(String(cause))) {
    return new BundleError('truncated', `the ${compression} archive is cut short`, { cause })
  }
  if (!/^(?:Z_|ZSTD_|ERR_ZSTD)/.test(code)) return cause
  return new BundleError('damaged', `the ${compression} archive is damaged`, { cause })
}
