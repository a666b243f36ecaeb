import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { StartError } from '../../src/core/start-error.ts'
import { openDataDirectory } from '../../src/store/data-directory.ts'
import { makeTempDir } from '../support/temp-dir.ts'

describe('openDataDirectory', () => {
  it('makes the directory and writes its format', async () => {
    await using dir = await makeTempDir()
    const root = join(dir.path, 'a/b')
    openDataDirectory(root).release()
    expect(await readFile(join(root, 'format'), 'utf8')).toBe('1\n')
    openDataDirectory(root).release()
  })

  it('is taken by one at a time', async () => {
    await using dir = await makeTempDir()
    const first = openDataDirectory(dir.path)
    expect(() => openDataDirectory(dir.path)).toThrow(
      /another oci-mirror is using the data directory .*: stop it/,
    )
    first.release()
    openDataDirectory(dir.path).release()
  })

  it('is refused with another format, and stays as it was', async () => {
    await using dir = await makeTempDir()
    await writeFile(join(dir.path, 'format'), '2\n')
    expect(() => openDataDirectory(dir.path)).toThrow(
      /has format "2", this program reads 1: use the version/,
    )
    expect(await readFile(join(dir.path, 'format'), 'utf8')).toBe('2\n')
    await writeFile(join(dir.path, 'format'), '1\n')
    openDataDirectory(dir.path).release()
  })

  it('is refused where it cannot be', async () => {
    await using dir = await makeTempDir()
    await writeFile(join(dir.path, 'file'), '')
    expect(() => openDataDirectory(join(dir.path, 'file'))).toThrow(StartError)
    expect(() => openDataDirectory(join(dir.path, 'file/below'))).toThrow(
      /cannot use the data directory/,
    )
    expect(() => openDataDirectory('/proc/nothing/here')).toThrow(/cannot use the data directory/)
    await mkdir(join(dir.path, 'lock/lock.db'), { recursive: true })
    expect(() => openDataDirectory(join(dir.path, 'lock'))).toThrow(/cannot use the data directory/)
  })

  it('is refused on a network file system, before anything is written', async () => {
    await using dir = await makeTempDir()
    const nfs = () => 0x6969
    expect(() => openDataDirectory(dir.path, nfs)).toThrow(
      /is on a network file system \(NFS\), .*: put it on a local disk \(storage\.dir\)/,
    )
    expect(await readdir(dir.path)).toEqual([])
    openDataDirectory(dir.path, () => 0xef53).release()
  })
})
