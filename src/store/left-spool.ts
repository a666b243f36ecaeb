import type { Hash } from 'node:crypto'
import type { File, Fs } from './fs.ts'
import { isDiskRefusal, isErrno } from './fs.ts'
import { hashFile } from './hash-file.ts'

/** Bytes. Less than this is fetched sooner than resumed, and is answered only once its digest is right. */
const WORTH_RESUMING = 1024 * 1024

interface Left {
  readonly file: File
  /** Bytes that are in the file, and in the hash by now. */
  readonly length: number
}

/**
 * The file that an earlier download left, which may be wrong: then the digest will not match at the end.
 * Its last byte is taken off, so that there is always something to ask upstream for: its answer is also the
 * proof that this repository may have the blob. `undefined`: there is no such file, or it cannot be used.
 * `size`: of the whole blob, in bytes.
 */
export async function openLeftSpool(
  { fs, path, size = Infinity }: { fs: Fs; path: string; size: number | undefined },
  hash: Hash,
): Promise<Left | undefined> {
  let file: File | undefined
  try {
    file = await fs.open(path, 'r+')
    const length = (await file.stat()).size - 1
    if (length >= WORTH_RESUMING && length < size) {
      await file.truncate(length)
      await hashFile(file, length, hash)
      return { file, length }
    }
  } catch (cause) {
    // Not there, or damaged: then it is downloaded from its beginning.
    if (!isErrno(cause, 'ENOENT') && !isDiskRefusal(cause)) {
      await file?.close()
      throw cause
    }
  }
  await file?.close()
  return undefined
}
