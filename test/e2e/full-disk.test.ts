import { execFile } from 'node:child_process'
import { mkdir, statfs, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { digestOf } from '../../src/oci/digest.ts'
import { seededBytes } from '../support/bytes.ts'
import { FakeRegistry } from '../support/fake-registry.ts'
import type { TestBlob } from '../support/images.ts'
import { buildBlob } from '../support/images.ts'
import { expectTrueNames, expectTrueRows } from '../support/oracle.ts'
import type { TempDir } from '../support/temp-dir.ts'
import { makeTempDir } from '../support/temp-dir.ts'
import type { MirrorProgram } from './support/mirror-program.ts'
import { launchMirror, startMirror } from './support/mirror-program.ts'

const run = promisify(execFile)
const MIB = 1024 * 1024

/** A real file system of 16 MiB, which only root can mount. */
describe('a volume of 16 MiB', () => {
  const large = buildBlob('large', 40 * MIB)
  const last = buildBlob('last', 3 * MIB)
  const other = buildBlob('other', MIB)
  const small = [...Array.from({ length: 7 }, (_, n) => buildBlob(`small-${n}`, 3 * MIB)), last]
  let dir: TempDir
  let volume: string
  let registry: FakeRegistry
  let mirror: MirrorProgram

  beforeAll(async () => {
    dir = await makeTempDir()
    volume = join(dir.path, 'volume')
    await mkdir(volume)
    await run('mount', ['-t', 'tmpfs', '-o', 'size=16m', 'tmpfs', volume])
    registry = await FakeRegistry.start()
    for (const blob of [large, other, ...small]) registry.addBlob('acme/app', blob)
    const config = { upstreams: { 'docker.io': { url: registry.url } } }
    mirror = await startMirror({ dir: dir.path, dataDir: join(volume, 'data'), config })
  })
  afterAll(async () => {
    await mirror?.stop()
    await registry?.close()
    await run('umount', [volume])
    await dir?.remove()
  })

  async function pull(blob: TestBlob): Promise<string | null> {
    const response = await fetch(`${mirror.url}/v2/acme/app/blobs/${blob.digest}`)
    expect(response.status).toBe(200)
    expect(digestOf(new Uint8Array(await response.arrayBuffer()))).toBe(blob.digest)
    return response.headers.get('cache-status')
  }

  it('holds what fits, evicts for what comes, and passes on what never fits', async () => {
    for (const blob of small) expect(await pull(blob)).toContain('stored')
    expect(await pull(large)).toContain('detail=no-room')
    await expectTrueNames(join(volume, 'data'))
    expect(await pull(last)).toBe('oci-mirror; hit')
  })

  it('that others fill to the last byte fails no pull, and is used again when they are gone', async () => {
    const filler = join(volume, 'filler')
    const { bavail, bsize } = await statfs(volume)
    await writeFile(filler, seededBytes('filler', bavail * bsize)).catch(() => {})
    for (const blob of [...small, large]) await pull(blob)
    await unlink(filler)
    await pull(last)
    await expect.poll(() => pull(last)).toBe('oci-mirror; hit')
    await expectTrueNames(join(volume, 'data'))
    await expectTrueRows(join(volume, 'data'))
  })

  it('that takes no download any more goes on serving what it holds, and passes on the rest', async () => {
    // The kernel makes no file system read-only in which files are open for writing: so a part of it.
    const spool = join(volume, 'data/spool')
    await run('mount', ['--bind', spool, spool])
    try {
      await run('mount', ['-o', 'remount,ro,bind', spool])
      expect(await pull(last)).toBe('oci-mirror; hit')
      expect(await pull(large)).toContain('detail=no-room')
      expect(await pull(other)).toContain('detail=no-room')
    } finally {
      await run('umount', [spool])
    }
    await pull(other)
    await expect.poll(() => pull(other)).toBe('oci-mirror; hit')
  })

  it('that is read-only is refused at the start in one line, and used again when it is not', async () => {
    const dataDir = join(volume, 'data')
    const config = { upstreams: { 'docker.io': { url: registry.url } } }
    await mirror.stop()
    await run('mount', ['-o', 'remount,ro', volume])
    const refused = await launchMirror({ dir: dir.path, dataDir, config })
    const { code } = await refused.program.exited
    await run('mount', ['-o', 'remount,rw', volume])
    const stderr = refused.program.stderr().trim()
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: expect.stringMatching(/^error: cannot use the catalog .*has to be writable.*$/),
    })
    mirror = await startMirror({ dir: dir.path, dataDir, config })
    expect(await pull(last)).toBe('oci-mirror; hit')
    await expectTrueNames(dataDir)
    await expectTrueRows(dataDir)
  })
})
