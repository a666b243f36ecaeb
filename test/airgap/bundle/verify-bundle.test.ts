import { mkdir, readFile, rename, truncate, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { BundleBody, BundleHeader } from '../../../src/airgap/bundle/bundle-header.ts'
import { formatBundleHeader, identifyBundle } from '../../../src/airgap/bundle/bundle-header.ts'
import {
  blobEntry,
  HEADER_ENTRY,
  INDEX_ENTRY,
  LAYOUT_BODY,
  LAYOUT_ENTRY,
} from '../../../src/airgap/bundle/entry-name.ts'
import { TAR_END } from '../../../src/airgap/bundle/write-tar.ts'
import { makeBundle } from '../../../src/airgap/export/make-bundle.ts'
import { hashPieces, writePlannedTar } from '../../../src/airgap/export/write-planned-tar.ts'
import type { CarriedImage } from '../../../src/core/airgap/carried.ts'
import type { Digest } from '../../../src/oci/digest.ts'
import { runHere } from '../../cli/fake-terminal.ts'
import { descriptor } from '../../support/artifacts.ts'
import { buildBlob, buildImage } from '../../support/images.ts'
import type { TempDir } from '../../support/temp-dir.ts'
import { makeTempDir } from '../../support/temp-dir.ts'
import { buildBundle, writeBundle } from '../import/build-bundle.ts'

const MIB = 1024 * 1024
const SMALL = buildBlob('small', 1000)
const LARGE = buildBlob('large', 3 * MIB)
const signal = new AbortController().signal

/** Two blobs, of which the large one is in pieces. */
async function writeParts(dir: string): Promise<readonly string[]> {
  const bytes = new Map<Digest, Uint8Array>([SMALL, LARGE].map((blob) => [blob.digest, blob.bytes]))
  const exports = {
    read: async (digest: Digest, start: number) => {
      const all = bytes.get(digest) ?? new Uint8Array(0)
      const body = (async function* () {
        for (let at = start; at < all.length; at += 70_000) yield all.subarray(at, at + 70_000)
      })()
      return { size: all.length, body }
    },
  }
  const blobs = [SMALL, LARGE].map(({ digest, size }) => ({ digest, size }))
  const full = { images: 0, blobs: 2, bytes: 0 }
  const cargo = { images: [], blobs, requires: [], parents: [], full }
  const options = { created: 1, tool: 'a test', refName: 'tag', split: 2 * MIB } as const
  const { header, tars } = await makeBundle(cargo, options, (_, pieces) =>
    hashPieces(pieces, exports, signal),
  )
  const paths: string[] = []
  for (const [at, tar] of tars.entries()) {
    const chunks: Uint8Array[] = []
    const sink = async (chunk: Uint8Array) => void chunks.push(Uint8Array.from(chunk))
    await writePlannedTar(tar, exports, sink, () => {}, signal)
    const path = join(dir, `week34.00${at + 1}.tar`)
    await writeFile(path, Buffer.concat(chunks))
    paths.push(path)
  }
  await writeFile(join(dir, 'week34.json'), formatBundleHeader(header))
  return paths
}

describe('verify with the files of a bundle', () => {
  let dir: TempDir
  let parts: readonly string[]

  beforeAll(async () => {
    dir = await makeTempDir()
  })
  afterAll(() => dir.remove())
  beforeEach(async () => {
    parts = await writeParts(dir.path)
  })

  /** In a directory without a configuration, and so without a mirror. */
  const verify = (...args: string[]) => runHere(['verify', ...args], dir.path)

  async function flip(path: string, at: number): Promise<void> {
    const bytes = await readFile(path)
    bytes[at] = 255 - (bytes[at] ?? 0)
    await writeFile(path, bytes)
  }

  it('finds each part right by itself, and says which others there are', async () => {
    expect(parts).toHaveLength(2)
    const { code, stdout, stderr } = await verify('week34.002.tar')
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toMatch(
      /^week34\.002\.tar {2}right: 1 blob, 1\.\d MB as they should be, part 2 of 2, 0 images, made .*\nof sha256:\w{64}, part 1 was not looked at\n$/,
    )
  })

  it.each(['week34.json', '.'])('finds all the parts by %s', async (path) => {
    const { code, stdout } = await verify(path)
    expect(code).toBe(0)
    expect(stdout.match(/right/g)).toHaveLength(2)
    expect(stdout).not.toContain('not looked at')
  })

  it.each([
    ['a blob', 0, 4500, blobEntry(SMALL.digest)],
    ['a piece', 1, MIB, `${blobEntry(LARGE.digest)}.0002`],
  ])('names %s that is damaged, with exit code 4', async (_, part, at, entry) => {
    await flip(parts[part] ?? '', at)
    const { code, stdout } = await verify('week34.001.tar', 'week34.002.tar', '--output', 'json')
    expect(code).toBe(4)
    expect(JSON.parse(stdout)).toMatchObject({
      files: [0, 1].map((n) =>
        n === part
          ? {
              state: 'damaged',
              problems: [`${entry} is damaged: its bytes are not those of its digest`],
            }
          : { state: 'right', problems: [] },
      ),
    })
  })

  it('says what a part that was cut short lacks, with exit code 1', async () => {
    const [first = ''] = parts
    const { length } = await readFile(first)
    await truncate(first, length - 100_000)
    const cut = await verify('week34.001.tar')
    expect(cut.code).toBe(1)
    expect(cut.stdout).toContain('week34.001.tar  incomplete: 1 blob')
    expect(cut.stdout).toMatch(/the archive is cut short: ".*0001" ends after \d+ of \d+ bytes/)
  })

  it('says which part is not there', async () => {
    await unlink(parts[1] ?? '')
    const { code, stdout } = await verify('week34.json')
    expect(code).toBe(1)
    expect(stdout).toContain('week34.002.tar  missing\n')
  })

  it('does not take a part of another bundle for one of this', async () => {
    const header = JSON.parse(await readFile(join(dir.path, 'week34.json'), 'utf8')) as BundleHeader
    const { id: _, ...body } = header
    const other: BundleBody = { ...body, created: 2 }
    await writeFile(join(dir.path, 'week34.json'), formatBundleHeader(identifyBundle(other)))
    const { code, stdout } = await verify('week34.json')
    expect(code).toBe(1)
    expect(stdout).toContain('it is of another bundle than the list beside it')
  })

  it('refuses what is no bundle, and goes on with the next file', async () => {
    await writeFile(join(dir.path, 'other.tar'), TAR_END)
    const { code, stdout } = await verify('other.tar', 'week34.001.tar')
    await unlink(join(dir.path, 'other.tar'))
    expect(code).toBe(1)
    expect(stdout).toContain('other.tar  incomplete')
    expect(stdout).toContain('week34.001.tar  right')
  })

  it('says of an unpacked layout what reads it', async () => {
    await mkdir(join(dir.path, 'layout'))
    await writeFile(join(dir.path, 'layout', LAYOUT_ENTRY), LAYOUT_BODY)
    const { code, stderr } = await verify('layout')
    expect(code).toBe(2)
    expect(stderr).toContain('layout is an OCI image layout, and no bundle with a list of its own')
  })

  describe('whose first entries do not fit together', () => {
    const IMAGE = buildImage({ seed: 'listed', layers: 1 })
    const BUNDLE = buildBundle([{ image: 'docker.io/acme/tool:2', content: IMAGE }])
    const listed = (changes: object) => ({
      ...descriptor(IMAGE.manifest),
      annotations: { 'org.opencontainers.image.ref.name': '2' },
      ...changes,
    })

    async function verifyWith(path: string, bytes: Uint8Array) {
      const files = BUNDLE.files.map((file) => (file.path === path ? { path, bytes } : file))
      await writeBundle(dir.path, 'other.tar', { files })
      const { code, stdout } = await verify('other.tar')
      await unlink(join(dir.path, 'other.tar'))
      return { code, stdout }
    }
    const verifyIndex = (manifests: readonly object[]) =>
      verifyWith(INDEX_ENTRY, Buffer.from(JSON.stringify({ manifests })))

    it('is right with an index that lists what the header has', async () => {
      const full = { annotations: { 'io.containerd.image.name': 'docker.io/acme/tool:2' } }
      expect(
        (await verifyIndex([listed({}), listed(full), listed({ annotations: undefined })])).code,
      ).toBe(0)
    })

    it.each([
      ['another image', listed({ digest: SMALL.digest })],
      ['another size', listed({ size: 1 })],
      ['another tag', listed({ annotations: { 'org.opencontainers.image.ref.name': '3' } })],
      ['another name', listed({ annotations: { 'io.containerd.image.name': 'evil.example/x:2' } })],
    ])('is damaged where the index has %s', async (_, entry) => {
      const { code, stdout } = await verifyIndex([entry])
      expect(code).toBe(4)
      expect(stdout).toContain('index.json lists "sha256:')
    })

    it('is damaged where the index is no JSON', async () => {
      const { code, stdout } = await verifyWith(INDEX_ENTRY, Buffer.from('{'))
      expect({ code, stdout }).toEqual({ code: 4, stdout: expect.stringContaining('is not JSON') })
    })

    it('is incomplete where an image is listed without its manifest', async () => {
      const { id: _, ...body } = BUNDLE.header
      const image = {
        image: 'docker.io/acme/gone:1',
        manifest: descriptor(SMALL),
        platforms: 'all',
      }
      const header = identifyBundle({ ...body, images: [image as CarriedImage] })
      const { code, stdout } = await verifyWith(HEADER_ENTRY, formatBundleHeader(header))
      expect(code).toBe(1)
      expect(stdout).toContain('docker.io/acme/gone:1 is listed, and its manifest is not')
    })

    it('is refused where it does not say which part it is', async () => {
      const whole = await readFile(join(dir.path, 'week34.json'))
      const { code, stdout } = await verifyWith(HEADER_ENTRY, whole)
      expect(code).toBe(1)
      expect(stdout).toContain('mirror-bundle.json does not say which part this is')
    })
  })

  it('does not look for an image called like a file', async () => {
    await rename(parts[0] ?? '', join(dir.path, 'moved.tar'))
    const { code, stderr } = await verify('week34.001.tar')
    await unlink(join(dir.path, 'moved.tar'))
    expect(code).toBe(2)
    expect(stderr).toBe('error: week34.001.tar is no file of a bundle, and no directory with one\n')
  })
})
