import { readFileSync } from 'node:fs'

/** What `stat` says of a file. */
export interface Ownership {
  readonly uid: number
  readonly gid: number
  readonly mode: number
}

/** `euid`: the user that we run as. `isPrivateGroup`: whether a group has no other member than that user. */
export interface Identity {
  readonly euid: number
  readonly isPrivateGroup: (gid: number) => boolean
}

const GROUP_WRITABLE = 0o020
const WORLD_WRITABLE = 0o002

/**
 * Why a configuration file that is code must not be run: whoever can write it can do all that the
 * mirror can. `undefined` if it may. Group-writable is refused as well, but not when the group is the
 * user's private one: with it, `umask 002` is usual, and a fresh checkout has to work.
 */
export function permissionProblem(
  path: string,
  file: Ownership,
  identity: Identity,
): string | undefined {
  const instead = 'or write the configuration as YAML or JSON, which is not run'
  if (file.uid !== 0 && file.uid !== identity.euid) {
    const owner = `it belongs to user ${file.uid}, and the mirror runs as user ${identity.euid}`
    return `is code, and ${owner}: run "chown ${identity.euid} ${path}", ${instead}`
  }
  const isPrivate = identity.euid !== 0 && identity.isPrivateGroup(file.gid)
  const others = file.mode & WORLD_WRITABLE ? 'everyone' : 'its group'
  const mask = isPrivate ? WORLD_WRITABLE : WORLD_WRITABLE | GROUP_WRITABLE
  if ((file.mode & mask) === 0) return undefined
  return `is code, and ${others} may write it: run "chmod go-w ${path}", ${instead}`
}

/** `undefined` where files have no owners (Windows). */
export function currentIdentity(): Identity | undefined {
  const euid = process.geteuid?.()
  if (euid === undefined) return undefined
  return {
    euid,
    isPrivateGroup: (gid) =>
      isPrivateGroup(euid, gid, readDatabase('/etc/passwd'), readDatabase('/etc/group')),
  }
}

/** Whether the group is the primary one of this user and of nobody else, and has no further members. */
export function isPrivateGroup(uid: number, gid: number, passwd: string, group: string): boolean {
  const users = rows(passwd).filter((fields) => fields[3] === String(gid))
  const groups = rows(group).filter((fields) => fields[2] === String(gid))
  const [user] = users
  const [entry] = groups
  if (users.length !== 1 || groups.length !== 1 || user?.[2] !== String(uid)) return false
  const members = (entry?.[3] ?? '').split(',').filter((name) => name !== '' && name !== user[0])
  return members.length === 0
}

function rows(database: string): readonly (readonly string[])[] {
  return database.split('\n').map((line) => line.trim().split(':'))
}

function readDatabase(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    // Users from a directory service are not in here either: then no group counts as private.
    return ''
  }
}
