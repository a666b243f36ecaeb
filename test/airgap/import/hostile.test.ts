import { mkdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { formatBundleHeader, idOf } from '../../../src/airgap/bundle/bundle-header.ts'
import { blobEntry, HEADER_ENTRY, INDEX_ENTRY } from '../../../src/airgap/bundle/entry-name.ts'
import { buildBlob, buildImage } from '../../support/images.ts'
import { expectIntact } from '../../support/oracle.ts'
import type { RawEntry } from '../../support/raw-tar.ts'
import { paxRecord, rawTar, TAR_ZEROS } from '../../support/raw-tar.ts'
import type { TempDir } from '../../support/temp-dir.ts'
import { makeTempDir } from '../../support/temp-dir.ts'
import { TestMirror } from '../../support/test-mirror.ts'
import { FakeRegistry } from '../../support/fake-registry.ts'
import { tarOf } from '../../support/tar.ts'
import { buildBundle } from './build-bundle.ts'
import { importInto } from './import-into.ts'

const IMAGE = buildImage({ seed: 'hostile' })
const STRANGER = buildBlob('stranger', 100)
const { header, files } = buildBundle([{ image: 'docker.io/library/app:1', content: IMAGE }])
const ENTRIES: readonly RawEntry[] = files.map(({ path, bytes }) => ({ name: path, bytes }))
const LAYER = blobEntry((IMAGE.layers[1] ?? IMAGE.config).digest)
const CONFIG = blobEntry(IMAGE.config.digest)

const whole = (entries: readonly RawEntry[]) => Buffer.concat([rawTar(entries), TAR_ZEROS])
const plus = (...more: readonly RawEntry[]) => whole([...ENTRIES, ...more])
/** Each entry of that name becomes these. */
const replaced = (name: string, change: (entry: RawEntry) => readonly RawEntry[]) =>
  whole(ENTRIES.flatMap((entry) => (entry.name === name ? change(entry) : [entry])))
const changed = (name: string, fields: Partial<RawEntry>) =>
  replaced(name, (entry) => [{ ...entry, ...fields }])
const withHeader = (change: (value: Record<string, unknown>) => void, isSigned = true) => {
  const value = JSON.parse(formatBundleHeader(header).toString()) as Record<string, unknown>
  change(value)
  if (isSigned) value['id'] = idOf(value)
  return changed(HEADER_ENTRY, { bytes: JSON.stringify(value) })
}
const long = 'a/'.repeat(60)
const PLAIN = whole(ENTRIES)

const CORPUS: readonly (readonly [string, Buffer, RegExp])[] = [
  [
    'a path that leads upwards',
    plus({ name: '../../etc/cron.d/x', bytes: 'x' }),
    /\.\.\/\.\.\/etc/,
  ],
  ['an absolute path', plus({ name: '/etc/passwd', bytes: 'x' }), /"\/etc\/passwd"/],
  [
    'a path that leads upwards below blobs',
    plus({ name: 'blobs/sha256/../x' }),
    /blobs\/sha256\/\.\./,
  ],
  ['an entry of another name', plus({ name: 'run.sh', bytes: '#!' }), /"run\.sh" is no entry/],
  ['a directory', plus({ name: 'blobs/', type: '5' }), /"blobs\/" is a directory/],
  [
    'a symbolic link',
    plus({ name: 'blobs/x', type: '2', target: '/etc/shadow' }),
    /"blobs\/x" is a link/,
  ],
  [
    'a symbolic link in place of a blob',
    changed(LAYER, { type: '2', bytes: '', target: '/etc/shadow' }),
    /is a link, not a plain file/,
  ],
  [
    'a hard link',
    changed(LAYER, { type: '1', bytes: '', target: CONFIG }),
    /is a link, not a plain file/,
  ],
  ['a character device', plus({ name: 'dev', type: '3' }), /"dev" is a device/],
  ['a block device', plus({ name: 'dev', type: '4' }), /"dev" is a device/],
  ['a fifo', plus({ name: 'pipe', type: '6' }), /"pipe" is a fifo/],
  ['a sparse file', plus({ name: 'holes', type: 'S' }), /"holes" is a sparse file/],
  [
    'attributes for all',
    plus({ name: 'all', type: 'g', bytes: paxRecord('path', 'x') }),
    /"all" is attributes for all entries/,
  ],
  [
    'an entry of no known type',
    plus({ name: 'odd', type: 'Z' }),
    /"odd" is of the unknown type "Z"/,
  ],
  [
    'a name that comes twice',
    plus({ name: CONFIG, bytes: 'other' }),
    /blobs\/sha256\/[0-9a-f]+" comes twice/,
  ],
  [
    'a second header',
    plus({ name: HEADER_ENTRY, bytes: '{}' }),
    /"mirror-bundle\.json" comes twice/,
  ],
  [
    'a blob that the header does not name',
    plus({ name: blobEntry(STRANGER.digest), bytes: STRANGER.bytes }),
    /is not what mirror-bundle\.json says/,
  ],
  [
    'an entry that is larger than the header says',
    changed(LAYER, { bytes: Buffer.alloc(9_000) }),
    /has 9000 bytes, and mirror-bundle\.json says/,
  ],
  [
    'an entry that is smaller than the header says',
    changed(LAYER, { bytes: 'x' }),
    /has 1 bytes, and mirror-bundle\.json says/,
  ],
  ['a blob that is missing', replaced(LAYER, () => []), /blobs\/sha256\/[0-9a-f]+ is missing/],
  [
    'another first entry',
    whole(ENTRIES.slice(1)),
    /"index\.json" is where oci-layout has to be|no archive of images/,
  ],
  [
    'the header after a blob',
    whole([
      ...ENTRIES.slice(0, 2),
      ...ENTRIES.slice(3, 4),
      ...ENTRIES.slice(2, 3),
      ...ENTRIES.slice(4),
    ]),
    /is where mirror-bundle\.json has to be/,
  ],
  [
    'a header that is too large',
    changed(HEADER_ENTRY, { bytes: Buffer.alloc(33 * 1024 * 1024, 32) }),
    /mirror-bundle\.json has 34603008 bytes/,
  ],
  [
    'an index that is too large',
    changed(INDEX_ENTRY, { bytes: Buffer.alloc(33 * 1024 * 1024, 32) }),
    /index\.json has 34603008 bytes/,
  ],
  [
    'a header that is no JSON',
    changed(HEADER_ENTRY, { bytes: '{' }),
    /mirror-bundle\.json is not JSON/,
  ],
  [
    'a header of a newer version',
    withHeader((value) => (value['version'] = 2)),
    /version 2 of the format, and this oci-mirror reads version 1/,
  ],
  [
    'a header that was changed',
    withHeader((value) => (value['tool'] = 'evil'), false),
    /mirror-bundle\.json is not what its id says/,
  ],
  [
    'a header that names a blob twice',
    withHeader(
      (value) =>
        (value['blobs'] = [...(value['blobs'] as unknown[]), (value['blobs'] as unknown[])[0]]),
    ),
    /mirror-bundle\.json names sha256:[0-9a-f]+ twice/,
  ],
  [
    'a size that is negative',
    withHeader((value) => (value['blobs'] = [{ digest: STRANGER.digest, size: -1 }])),
    /mirror-bundle\.json has a "size"/,
  ],
  [
    'a digest that is none',
    withHeader((value) => (value['requires'] = [{ digest: 'sha256:../x', size: 1 }])),
    /mirror-bundle\.json has a "digest"/,
  ],
  [
    'a name with control characters',
    withHeader((value) => (value['tool'] = '\u001B[2J')),
    /mirror-bundle\.json has a "tool"/,
  ],
  ['a wrong checksum', plus({ name: 'x', checksumOff: 1 }), /the header at byte \d+ is damaged/],
  [
    'another kind of tar',
    plus({ name: 'x', magic: '\0\0\0\0\0\0\0\0' }),
    /the header at byte \d+ is of a kind/,
  ],
  ['a size that is no number', plus({ name: 'x', rawSize: 'zzzzzzzzzzz\0' }), /"x" states no size/],
  [
    'a size below zero',
    plus({ name: 'x', rawSize: '\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff' }),
    /"x" states no size/,
  ],
  [
    'a size beyond all files',
    plus({ name: 'x', rawSize: '\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff' }),
    /"x" states no size/,
  ],
  [
    'a directory with bytes',
    plus({ name: 'd/', type: '5', bytes: 'hidden' }),
    /"d\/" is a directory, and states 6 bytes/,
  ],
  [
    'a path that attributes hide',
    plus({ name: 'pax', type: 'x', bytes: paxRecord('path', '../evil') }, { name: CONFIG }),
    /"\.\.\/evil"/,
  ],
  [
    'attributes that say two things',
    plus(
      { name: 'pax', type: 'x', bytes: paxRecord('path', 'a') + paxRecord('path', 'b') },
      { name: 'c' },
    ),
    /say "path" twice/,
  ],
  [
    'attributes of the wrong length',
    plus({ name: 'pax', type: 'x', bytes: '99 path=x\n' }, { name: 'c' }),
    /record of the wrong length/,
  ],
  [
    'attributes of a sparse file',
    plus({ name: 'pax', type: 'x', bytes: paxRecord('GNU.sparse.major', '1') }, { name: 'c' }),
    /those of a sparse file/,
  ],
  [
    'attributes with a size that is none',
    plus({ name: 'pax', type: 'x', bytes: paxRecord('size', '1e9') }, { name: 'c' }),
    /state a size that is none/,
  ],
  [
    'attributes without end',
    plus({ name: 'pax', type: 'x', bytes: Buffer.alloc(100_000) }, { name: 'c' }),
    /has 100000 bytes of attributes/,
  ],
  [
    'attributes of nothing',
    plus({ name: 'pax', type: 'x', bytes: paxRecord('path', 'a') }),
    /are of no entry/,
  ],
  [
    'a long name that leads upwards',
    plus({ name: 'long', type: 'L', bytes: `${long}../../../x\0` }, { name: 'c' }),
    /a\/a\/.*\.\.\/x/,
  ],
  [
    'a name longer than any path',
    plus({ name: 'long', type: 'L', bytes: `${'x'.repeat(5_000)}\0` }, { name: 'c' }),
    /has a name of 5000 characters/,
  ],
  ['a prefix that leads upwards', plus({ name: 'x', prefix: '../..' }), /"\.\.\/\.\.\/x"/],
  [
    'an archive that ends within a blob',
    PLAIN.subarray(0, PLAIN.length - 1024 - 700),
    /cut short: "blobs\/sha256\/[0-9a-f]+" ends after \d+ of \d+ bytes/,
  ],
  [
    'an archive that ends between two blobs',
    rawTar(ENTRIES.slice(0, 4)),
    /cut short after "blobs\/sha256\//,
  ],
  ['an archive that ends within a header', PLAIN.subarray(0, 100), /cut short after its beginning/],
  ['an archive that does not end', rawTar(ENTRIES), /cut short after "blobs\/sha256\//],
  [
    'something after the end',
    Buffer.concat([PLAIN, Buffer.from('more')]),
    /there is something after the end/,
  ],
  [
    'a second archive after the end',
    Buffer.concat([PLAIN, PLAIN]),
    /there is something after the end/,
  ],
  [
    'zeros without end',
    Buffer.concat([PLAIN, Buffer.alloc(2 * 1024 * 1024)]),
    /there is something after the end/,
  ],
  [
    'a bomb of gzip',
    gzipSync(whole([...ENTRIES, { name: 'bomb', bytes: Buffer.alloc(96 * 1024 * 1024) }])),
    /times as large unpacked/,
  ],
  [
    'a bomb of zstd',
    zstdCompressSync(whole([...ENTRIES, { name: 'bomb', bytes: Buffer.alloc(96 * 1024 * 1024) }])),
    /times as large unpacked/,
  ],
  ['a gzip archive that is cut short', gzipSync(PLAIN).subarray(0, 2000), /cut short|damaged/],
  [
    'a gzip archive that is damaged',
    Buffer.from(gzipSync(PLAIN)).fill(0xff, 1000, 1100),
    /is damaged|cut short/,
  ],
  ['what is no archive at all', Buffer.from('hello, world\n'.repeat(100)), /no tar archive/],
  ['an empty file', Buffer.alloc(0), /cut short after its beginning/],
]

let registry: FakeRegistry
let mirror: TestMirror
let dir: TempDir

beforeAll(async () => {
  registry = await FakeRegistry.start()
  mirror = await TestMirror.start({ upstreams: { 'docker.io': { registry } } })
  dir = await makeTempDir()
})
afterAll(async () => {
  await mirror.close()
  await registry.close()
  await dir.remove()
})

async function expectNothing(): Promise<void> {
  expect(await mirror.catalog.totals()).toEqual({ bytes: 0, blobs: 0 })
  expect(await mirror.spooled()).toEqual([])
  expect((await mirror.maintenance.images({})).items).toEqual([])
}

describe('a file', () => {
  it.each(CORPUS)('with %s is refused, with nothing changed', async (_, bytes, message) => {
    const path = join(dir.path, 'hostile.tar')
    await writeFile(path, bytes)
    const api = mirror.operations.imports
    const refusal: unknown = await importInto(api, [path]).catch((reason: unknown) => reason)
    expect(String(refusal)).toMatch(message)
    expect(String(refusal)).toContain('hostile.tar')
    await expectNothing()
  })

  it.each([
    ['layer\u001B[2J.tar', /"layer\\u001b\[2J\.tar" is no name of a file/],
    ['a/../../b', /"a\/\.\.\/\.\.\/b" leads out of the archive/],
    ['/etc/passwd', /"\/etc\/passwd" leads out of the archive/],
    ['..\\b', /"\.\.\\\\b" leads out of the archive/],
  ])('of another tool with an entry called %j is refused', async (name, message) => {
    const path = join(dir.path, 'foreign.tar')
    const body = Buffer.from('[]')
    const files = [
      { path: 'manifest.json', bytes: body },
      { path: name, bytes: body },
    ]
    await writeFile(path, tarOf(files))
    await expect(importInto(mirror.operations.imports, [path])).rejects.toThrow(message)
    await expectNothing()
  })
})

describe('a directory', () => {
  it('with a link among its blobs is refused', async () => {
    const root = join(dir.path, 'layout')
    await mkdir(join(root, 'blobs/sha256'), { recursive: true })
    await writeFile(join(root, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}')
    await writeFile(join(root, 'index.json'), '{"schemaVersion":2,"manifests":[]}')
    await symlink('/etc/shadow', join(root, 'blobs/sha256', 'a'.repeat(64)))
    const importing = importInto(mirror.operations.imports, [root])
    await expect(importing).rejects.toThrow(/layout: "blobs\/sha256\/a+" is no plain file/)
    await expectNothing()
  })
})

describe('a stream', () => {
  it.each(CORPUS.filter(([name]) => !name.includes('bomb')))(
    'with %s is refused, with nothing committed',
    async (_, bytes, message) => {
      const stdin = Readable.from([bytes])
      const importing = importInto(mirror.operations.imports, ['-'], { stdin })
      await expect(importing).rejects.toThrow(message)
      expect((await mirror.maintenance.images({})).items).toEqual([])
      const config = await mirror.fetch(`/v2/library/app/blobs/${IMAGE.config.digest}`)
      expect(config.status).toBe(404)
    },
  )
})

describe('all of them', () => {
  it('leave a mirror that is as it should be', async () => {
    await expectIntact(mirror)
  })
})
