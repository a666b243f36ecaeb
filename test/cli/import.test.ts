import { createReadStream } from 'node:fs'
import { mkdir, readFile } from 'node:fs/promises'
import { request } from 'node:http'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openDataDirectory } from '../../src/store/data-directory.ts'
import { formatBundleHeader } from '../../src/airgap/bundle/bundle-header.ts'
import { blobEntry } from '../../src/airgap/bundle/entry-name.ts'
import type { QuotaLimits } from '../../src/core/room.ts'
import { blobsOf, buildBundle, CREATED, writeBundle } from '../airgap/import/build-bundle.ts'
import { FakeRegistry } from '../support/fake-registry.ts'
import { buildBlob, buildImage } from '../support/images.ts'
import { expectIntact } from '../support/oracle.ts'
import { TestMirror } from '../support/test-mirror.ts'
import { Workplace } from './workplace.ts'

const IMAGE = buildImage({ seed: 'imported', layerBytes: 3_000_000 })
const SMALL = buildImage({ seed: 'small' })
const APP = 'docker.io/library/app:1'

let registry: FakeRegistry
let mirror: TestMirror
let place: Workplace

beforeEach(async () => {
  registry = await FakeRegistry.start()
  place = await Workplace.make(registry.url)
  openDataDirectory(place.data.path).release()
})
afterEach(async () => {
  await place.close()
  await registry.close()
})

async function serve(limits?: QuotaLimits): Promise<string> {
  const upstreams = { 'docker.io': { registry } }
  mirror = await TestMirror.start({ upstreams, ...(limits && { limits }) }, place.data)
  return place.serve(mirror.operations)
}

const oci = (args: readonly string[], stdin?: AsyncIterable<Uint8Array>) =>
  place.run(args, stdin && { stdin })

describe('oci-mirror import', () => {
  it('imports into the running mirror, says what it does, and writes the receipt', async () => {
    await serve()
    await writeBundle(place.dir.path, 'week34.tar', buildBundle([{ image: APP, content: IMAGE }]))
    const done = await oci(['import', 'week34.tar', '-o', 'siteB.inventory'])
    expect(done.stderr).toMatch(
      /^bundle {5}week34 {2}\S+ \S+ {2}id sha256:\w{12}…\nplan {7}1 ref, 4 blobs, 6\.0 MB: 4 blobs to read, 6\.0 MB to write; room for .* or more\n$/,
    )
    expect(done.stdout).toBe(
      'verified   4 blobs, 6.0 MB   refs 1 committed, 0 unchanged\nreceipt    siteB.inventory\n',
    )
    expect(done.code).toBe(0)
    const receipt: unknown = JSON.parse(await readFile(place.path('siteB.inventory'), 'utf8'))
    expect(receipt).toMatchObject({ images: [{ image: APP, digest: IMAGE.manifest.digest }] })
    expect((receipt as { blobs: unknown[] }).blobs).toHaveLength(4)
    for (const { digest } of blobsOf(IMAGE)) {
      expect((await mirror.fetch(`/v2/library/app/blobs/${digest}`)).status).toBe(200)
    }
    await expectIntact(mirror)
    await mirror.close()
  })

  it('imports into the data directory itself where no mirror runs, from standard input', async () => {
    const path = await writeBundle(
      place.dir.path,
      'b.tar',
      buildBundle([{ image: APP, content: SMALL }]),
    )
    const done = await oci(['import', '-', '--output', 'json'], createReadStream(path))
    expect(done).toMatchObject({ code: 0, stderr: '' })
    expect(JSON.parse(done.stdout)).toMatchObject({
      dryRun: false,
      bundles: [{ blobs: 4, images: [{ image: APP, state: 'committed' }], damaged: [] }],
    })
    expect((await oci(['ls'])).stdout).toMatch(/^docker\.io\/library\/app:1 +sha256/m)
    expect((await oci(['show', 'app:1'])).stdout).toMatch(
      /imported {2}.* from standard input, sha256/,
    )
  })

  it('makes the data directory of a machine that has none, from a directory of bundles', async () => {
    await place.data.remove()
    await mkdir(place.path('usb'))
    const small = buildBundle([{ image: APP, content: SMALL }])
    const other = buildBundle([{ image: 'docker.io/library/other:1', content: IMAGE }])
    await writeBundle(place.path('usb'), 'a.tar', small)
    await writeBundle(place.path('usb'), 'b.tar', other)
    await place.write('usb/a.json', formatBundleHeader(small.header))
    await place.write('usb/lost.json', formatBundleHeader(other.header))
    const lost = await oci(['import', 'usb/lost.json'])
    expect(lost.code).toBe(2)
    expect(lost.stderr).toMatch(/lost\.tar is not there, which usb\/lost\.json is the list of/)
    const first = await oci(['import', 'usb/a.json'])
    expect(first).toMatchObject({ code: 0, stdout: expect.stringContaining('refs 1 committed') })
    const both = await oci(['import', 'usb'])
    expect(both.code).toBe(0)
    expect(both.stdout.match(/refs . committed, . unchanged/g)).toEqual([
      'refs 0 committed, 1 unchanged',
      'refs 1 committed, 0 unchanged',
    ])
  })

  it('ends with 4 for a damaged blob, and keeps the rest', async () => {
    await serve()
    const built = buildBundle([
      { image: APP, content: IMAGE },
      { image: 'docker.io/library/small:1', content: SMALL },
    ])
    const name = blobEntry((IMAGE.layers[0] ?? IMAGE.config).digest)
    const files = built.files.map(({ path, bytes }) =>
      path === name ? { path, bytes: Buffer.alloc(bytes.length) } : { path, bytes },
    )
    await writeBundle(place.dir.path, 'bad.tar', { files })
    const done = await oci(['import', 'bad.tar', '--no-progress'])
    expect(done.code).toBe(4)
    expect(done.stdout).toContain(`damaged    bad.tar: ${name}: the bytes are not those of sha256:`)
    expect(done.stdout).toContain('refs 1 committed')
    expect(done.stderr).toMatch(/error: 1 blob of bad is damaged: copy it again/)
    await expectIntact(mirror)
    await mirror.close()
  })

  it('ends with 3 for a lost base, and names it', async () => {
    await serve()
    const base = buildBundle([{ image: APP, content: SMALL }])
    const [layer] = SMALL.layers
    if (layer === undefined) throw new Error('an image without layers')
    const carried = [
      { image: 'docker.io/library/new:1', content: SMALL, without: [layer.digest] },
      { image: 'docker.io/library/other:1', content: IMAGE },
    ]
    const parents = [{ id: base.header.id, name: 'week34', created: CREATED }]
    await writeBundle(place.dir.path, 'week35.tar', buildBundle(carried, { parents }))
    const done = await oci(['import', 'week35.tar'])
    expect(done.code).toBe(3)
    expect(done.stderr).toMatch(
      /error: 1 blob required by 1 ref is not here\. It was in bundle week34, id sha256:\w{12}…, of .*\. Import that first, or export again with --have INVENTORY .*\. 1 complete ref was imported\.\n$/,
    )
    await mirror.close()
  })

  it('ends with 1 where an upstream is not configured, or there is no room', async () => {
    await serve({ maxSize: 100_000, minFree: { bytes: 0 } })
    const stranger = [{ image: 'quay.io/acme/x:1', content: SMALL }]
    await writeBundle(place.dir.path, 'stranger.tar', buildBundle(stranger))
    const refused = await oci(['import', 'stranger.tar'])
    expect(refused.code).toBe(1)
    expect(refused.stdout).toMatch(/refused {4}quay\.io\/acme\/x:1: quay\.io is not an upstream/)
    await writeBundle(place.dir.path, 'large.tar', buildBundle([{ image: APP, content: IMAGE }]))
    const full = await oci(['import', 'large.tar'])
    expect(full.code).toBe(1)
    expect(full.stderr).toMatch(/large has 60\d{5} bytes that are not here, and there is room for/)
    await mirror.close()
  })

  it('ends with 2 for what is no archive, and for a call that contradicts itself', async () => {
    await place.write('x', 'no archive')
    expect(await oci(['import', 'nowhere.tar'])).toMatchObject({ code: 2 })
    expect(await oci(['import', '-', '-'])).toMatchObject({ code: 2 })
    expect((await oci(['import', 'x'])).code).toBe(1)
  })

  it('does nothing for a dry run', async () => {
    await serve()
    await writeBundle(place.dir.path, 'b.tar', buildBundle([{ image: APP, content: SMALL }]))
    const done = await oci(['import', 'b.tar', '--dry-run'])
    expect(done.stdout).toBe('nothing has been imported: leave out --dry-run to do it\n')
    expect((await mirror.catalog.totals()).blobs).toBe(0)
    await mirror.close()
  })
})

describe('the admin listener', () => {
  it('takes a blob from the command only, and not from what a web page can send', async () => {
    const url = await serve()
    const blob = buildBlob('page', 1000)
    const path = `${url}/api/v1/import/blob?digest=${blob.digest}&session=x`
    const body = Buffer.from(blob.bytes)
    const put = (headers: Record<string, string>, method = 'PUT') => {
      const init = { body, method, headers }
      return fetch(path, init)
    }
    const type = 'application/octet-stream'
    expect((await put({ 'content-type': type })).status).toBe(415)
    expect((await put({ 'content-type': type, 'oci-mirror-import': '1' }, 'POST')).status).toBe(415)
    expect((await put({ 'content-type': 'text/plain', 'oci-mirror-import': '1' })).status).toBe(415)
    expect((await mirror.catalog.totals()).blobs).toBe(0)
    expect((await put({ 'content-type': type, 'oci-mirror-import': '1' })).status).toBe(200)
    expect((await mirror.catalog.totals()).blobs).toBe(1)
    expect((await mirror.fetch(`/v2/library/app/blobs/${blob.digest}`)).ok).toBe(false)
    await mirror.close()
  })

  it('stores nothing of a body that is cut, or is not what it is called', async () => {
    const url = await serve()
    const blob = buildBlob('cut', 1_000_000)
    const path = `${url}/api/v1/import/blob?digest=${blob.digest}&session=x`
    const headers = { 'content-type': 'application/octet-stream', 'oci-mirror-import': '1' }
    const other = await fetch(path, { method: 'PUT', headers, body: Buffer.alloc(1_000_000) })
    expect(other.status).toBe(422)
    const sent = request(path, {
      method: 'PUT',
      headers: { ...headers, 'content-length': blob.size },
    })
    const { promise: ended, resolve } = Promise.withResolvers<void>()
    sent.on('close', resolve)
    sent.on('error', () => {})
    sent.write(blob.bytes.subarray(0, 200_000))
    await expect.poll(() => mirror.spooled()).not.toEqual([])
    sent.destroy()
    await ended
    await expect.poll(() => mirror.spooled()).toEqual([])
    expect((await mirror.catalog.totals()).blobs).toBe(0)
    await mirror.close()
  })
})
