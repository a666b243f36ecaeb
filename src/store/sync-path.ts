import type { Fs } from './fs.ts'
import { isErrno } from './fs.ts'

/** The disk was asked to sync, and said no; `cause` is what it said. Opening has not failed before. */
export class SyncFailure extends Error {
  override readonly name = 'SyncFailure'
}

/**
 * Waits until the file's bytes are on the disk itself. Throws SyncFailure where the
 * sync itself fails, and what the system said where the path cannot be opened.
 */
export async function syncPath(fs: Fs, path: string): Promise<void> {
  const file = await fs.open(path, 'r')
  try {
    await file.datasync()
  } catch (cause) {
    const said = cause instanceof Error ? cause.message : String(cause)
    throw new SyncFailure(`cannot bring ${path} to disk: ${said}`, { cause })
  } finally {
    await file.close()
  }
}

/** The same for a directory. Some file systems, of networks above all, have no such sync: then it is done. */
export async function syncDirectory(fs: Fs, path: string): Promise<void> {
  try {
    await syncPath(fs, path)
  } catch (error) {
    const isUnsupported =
      error instanceof SyncFailure && isErrno(error.cause, 'EINVAL', 'ENOSYS', 'ENOTSUP')
    if (!isUnsupported) throw error
  }
}
