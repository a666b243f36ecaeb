import type { Stats } from 'node:fs'
import { chmod, mkdir, open, readdir, rename, rm, stat, statfs, unlink } from 'node:fs/promises'

/** An open file, as far as the store uses one. */
export interface File {
  read(
    buffer: Uint8Array,
    offset: number,
    length: number,
    position: number,
  ): Promise<{ bytesRead: number }>
  writev(buffers: readonly Uint8Array[], position: number): Promise<{ bytesWritten: number }>
  stat(): Promise<Stats>
  close(): Promise<void>
}

/** Every file operation of the store, so that tests can make the Nth call of any of them fail. */
export interface Fs {
  open(path: string, flags: 'r' | 'w+', mode?: number): Promise<File>
  rename(from: string, to: string): Promise<void>
  unlink(path: string): Promise<void>
  chmod(path: string, mode: number): Promise<void>
  /** With parents; no error if it is there. */
  mkdir(path: string): Promise<void>
  /** With everything below; no error if it is not there. */
  remove(path: string): Promise<void>
  /** Names; nothing if there is no such directory. */
  list(path: string): Promise<readonly string[]>
  stat(path: string): Promise<Stats>
  /** Bytes of the volume that holds `path`. */
  space(path: string): Promise<{ readonly total: number; readonly free: number }>
}

export const nodeFs: Fs = {
  open: (path, flags, mode) => open(path, flags, mode),
  rename,
  unlink,
  chmod,
  async mkdir(path) {
    await mkdir(path, { recursive: true })
  },
  remove: (path) => rm(path, { recursive: true, force: true }),
  async list(path) {
    try {
      return await readdir(path)
    } catch (cause) {
      if (isErrno(cause, 'ENOENT')) return []
      throw cause
    }
  },
  stat,
  async space(path) {
    const { bsize, blocks, bavail } = await statfs(path)
    return { total: bsize * blocks, free: bsize * bavail }
  },
}

export function isErrno(reason: unknown, ...codes: readonly string[]): boolean {
  return reason instanceof Error && 'code' in reason && codes.includes(String(reason.code))
}

/** No room, or a disk that takes no writes: what a download cannot be kept for, and could do without. */
export function isDiskRefusal(reason: unknown): boolean {
  return isErrno(reason, 'ENOSPC', 'EDQUOT', 'EIO', 'EROFS', 'EMFILE', 'ENFILE', 'EACCES', 'EPERM')
}
