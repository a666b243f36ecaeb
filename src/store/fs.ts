import type { Stats } from 'node:fs'
import { chmod, mkdir, open, readdir, rename, rm, stat, statfs, unlink } from 'node:fs/promises'
import { NoSpace } from '../core/ports.ts'
import type { Space } from '../core/room.ts'

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
  truncate(length: number): Promise<void>
  /** Waits until the bytes, and what it takes to find them, are on the disk itself. */
  datasync(): Promise<void>
  close(): Promise<void>
}

/** Every file operation of the store, so that tests can make the Nth call of any of them fail. */
export interface Fs {
  open(path: string, flags: 'r' | 'r+' | 'w+', mode?: number): Promise<File>
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
  /** Of the volume that holds `path`. */
  space(path: string): Promise<Space>
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
    const { bsize, blocks, bavail, files, ffree } = await statfs(path)
    const bytes = { total: bsize * blocks, free: bsize * bavail }
    // Some file systems make inodes as they are needed, and say 0.
    return files === 0 ? bytes : { ...bytes, inodes: { total: files, free: ffree } }
  },
}

export function isErrno(reason: unknown, ...codes: readonly string[]): boolean {
  return reason instanceof Error && 'code' in reason && codes.includes(String(reason.code))
}

/** No room, or a disk that takes no writes: what a download cannot be kept for, and could do without. */
export function isDiskRefusal(reason: unknown): boolean {
  return refusalOf(reason) !== undefined
}

/** Runs it; a refusal of the disk is thrown as NoSpace. */
export function refusing<T>(write: () => T): T {
  try {
    return write()
  } catch (cause) {
    throw asNoSpace(cause)
  }
}

/** A refusal of the disk as core knows it; every other failure as it is. */
export function asNoSpace(cause: unknown): unknown {
  const kind = refusalOf(cause)
  if (kind === undefined) return cause
  const said = cause instanceof Error ? cause.message : String(cause)
  return new NoSpace(`the disk takes no more bytes: ${said}`, kind, { cause })
}

function refusalOf(reason: unknown): 'full' | 'broken' | undefined {
  if (isErrno(reason, 'ENOSPC', 'EDQUOT', 'SQLITE_FULL')) return 'full'
  if (isErrno(reason, 'EIO', 'EROFS', 'EMFILE', 'ENFILE', 'EACCES', 'EPERM')) return 'broken'
  // SQLite tells more exactly which of its calls failed: SQLITE_IOERR_WRITE, SQLITE_READONLY_DBMOVED.
  const code = reason instanceof Error && 'code' in reason ? String(reason.code) : ''
  if (/^SQLITE_(IOERR|READONLY|CANTOPEN)/.test(code)) return 'broken'
  return undefined
}
