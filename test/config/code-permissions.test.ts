import { describe, expect, it } from 'vitest'
import { isPrivateGroup, permissionProblem } from '../../src/config/code-permissions.ts'

const nobodyElse = { euid: 1000, isPrivateGroup: (gid: number) => gid === 1000 }

describe('permissions of a configuration file that is code', () => {
  it.each([
    ['the user alone may write', { uid: 1000, gid: 1000, mode: 0o100644 }],
    ['root owns', { uid: 0, gid: 0, mode: 0o100644 }],
    ['the private group of the user may write', { uid: 1000, gid: 1000, mode: 0o100664 }],
  ])('are right for one that %s', (_title, file) => {
    expect(permissionProblem('/c.ts', file, nobodyElse)).toBeUndefined()
  })

  it.each([
    ['a shared group may write', { uid: 1000, gid: 50, mode: 0o100664 }, 'its group may write it'],
    ['everyone may write', { uid: 1000, gid: 1000, mode: 0o100646 }, 'everyone may write it'],
    ['another user owns', { uid: 1001, gid: 1000, mode: 0o100600 }, 'it belongs to user 1001'],
  ])('are wrong for one that %s', (_title, file, reason) => {
    expect(permissionProblem('/c.ts', file, nobodyElse)).toContain(`is code, and ${reason}`)
  })

  it('give root no private group', () => {
    const root = { euid: 0, isPrivateGroup: () => true }
    expect(permissionProblem('/c.ts', { uid: 0, gid: 0, mode: 0o100664 }, root)).toContain(
      'its group',
    )
  })
})

describe('a private group', () => {
  const passwd =
    'root:x:0:0::/root:/bin/sh\nana:x:1000:1000::/:/bin/sh\nbo:x:1001:100::/:/bin/sh\ncy:x:1002:100::/:/bin/sh\n'
  const group = 'root:x:0:\nana:x:1000:\nusers:x:100:\nteam:x:200:ana,bo\n'

  it.each([
    ['has the user alone', 1000, 1000, passwd, group, true],
    ['may list the user', 1000, 1000, passwd, 'ana:x:1000:ana', true],
    ['has no other member', 1000, 1000, passwd, 'ana:x:1000:bo', false],
    ["is nobody else's primary group", 1001, 100, passwd, group, false],
    ["is the user's own", 1001, 1000, passwd, group, false],
    ['is a primary group', 1000, 200, passwd, group, false],
    ['has to be known', 1000, 1000, '', '', false],
  ])('%s', (_title, uid, gid, users, groups, answer) => {
    expect(isPrivateGroup(uid, gid, users, groups)).toBe(answer)
  })
})
