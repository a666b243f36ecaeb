import { execFile } from 'node:child_process'
import { truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { blobEntry, pieceEntry } from '../../../src/airgap/bundle/entry-name.ts'
import { readTar } from '../../../src/airgap/bundle/read-tar.ts'
import {
  formatTarHead,
  TAR_END,
  tarEntryBytes,
  tarPadding,
} from '../../../src/airgap/bundle/write-tar.ts'
import { digestOf } from '../../../src/oci/digest.ts'
import { makeTempDir } from '../../support/temp-dir.ts'

const run = promisify(execFile)
const SHA512 = digestOf(Buffer.from('a'), 'sha512')
const NAMES = ['oci-layout', blobEntry(digestOf(Buffer.from('a'))), blobEntry(SHA512)]
const SIZES = [0, 1, 511, 512, 513]

function archive(files: readonly (readonly [name: string, size: number])[]): Buffer {
  const parts = files.flatMap(([name, size]) => [
    formatTarHead(name, size),
    Buffer.alloc(size, 'x'),
    tarPadding(size),
  ])
  return Buffer.concat([...parts, TAR_END])
}

/** Names that differ, of every length there is. */
const FILES = NAMES.flatMap((name) =>
  SIZES.map((size): [string, number] => [size === 0 ? name : `${name}.000${size % 10}`, size]),
).filter(([name], at, all) => all.findIndex(([other]) => other === name) === at)

describe('a tar entry', () => {
  it('is read back by GNU tar with its name and its size, without a time or an owner', async () => {
    await using dir = await makeTempDir()
    const path = join(dir.path, 'a.tar')
    await writeFile(path, archive(FILES))
    const { stdout } = await run('tar', ['--utc', '--numeric-owner', '--full-time', '-tvf', path])
    expect(
      stdout
        .trim()
        .split('\n')
        .map((line) => line.split(/ +/)),
    ).toEqual(
      FILES.map(([name, size]) => [
        '-rw-r--r--',
        '0/0',
        String(size),
        '1970-01-01',
        '00:00:00',
        name,
      ]),
    )
  })

  it('is read back by our own reader, which is stricter', async () => {
    const found: [string, number][] = []
    for await (const { name, size, body } of readTar(chunks(archive(FILES)))) {
      let bytes = 0
      for await (const chunk of body) bytes += chunk.length
      expect(bytes).toBe(size)
      found.push([name, size])
    }
    expect(found).toEqual(FILES)
  })

  it('takes as many bytes as are said beforehand', () => {
    for (const [name, size] of FILES) {
      expect(archive([[name, size]]).length - TAR_END.length).toBe(tarEntryBytes(name, size))
    }
  })

  it('of more than 8 GiB is read back by GNU tar', async () => {
    await using dir = await makeTempDir()
    const path = join(dir.path, 'a.tar')
    const size = 2 ** 33 + 512
    const name = pieceEntry(SHA512, 1)
    const head = formatTarHead(name, size)
    await writeFile(path, head)
    // Zeros that take no room, and the end of the archive among them.
    await truncate(path, head.length + size + TAR_END.length)
    const { stdout } = await run('tar', ['-tvf', path])
    expect(stdout.trim().split(/ +/)).toEqual(expect.arrayContaining([String(size), name]))
  })
})

async function* chunks(bytes: Buffer): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += 700) yield bytes.subarray(at, at + 700)
}
