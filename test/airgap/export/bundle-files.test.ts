import { mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { formatBundleHeader, identifyBundle } from '../../../src/airgap/bundle/bundle-header.ts'
import {
  HEADER_ENTRY,
  INDEX_ENTRY,
  LAYOUT_BODY,
  LAYOUT_ENTRY,
} from '../../../src/airgap/bundle/entry-name.ts'
import { BundleFiles } from '../../../src/airgap/export/bundle-files.ts'
import { tarOf } from '../../support/tar.ts'
import type { TempDir } from '../../support/temp-dir.ts'
import { makeTempDir } from '../../support/temp-dir.ts'

const NEW = Buffer.from('new')

let dir: TempDir
let out: string

beforeEach(async () => {
  dir = await makeTempDir()
  out = join(dir.path, 'week34.tar')
})
afterEach(() => dir.remove())

const names = async () => (await readdir(dir.path)).toSorted()

describe('the files of an export', () => {
  it('are no directories, whatever is forced', async () => {
    await mkdir(out)
    await expect(new BundleFiles(out).refuseExisting(true)).rejects.toThrow(
      `${out} is a directory: name a file in it`,
    )
  })

  it('do not go where a link leads that lies in their way', async () => {
    const victim = join(dir.path, 'victim')
    await writeFile(victim, 'precious')
    await symlink(victim, `${out}.partial`)
    const files = new BundleFiles(out)
    await files.write(out, (sink) => sink(NEW))
    await files.publish()
    expect(await readFile(victim, 'utf8')).toBe('precious')
    expect(await readFile(out, 'utf8')).toBe('new')
    expect(await names()).toEqual(['victim', 'week34.tar'])
  })

  it('take the room of those that a killed export left', async () => {
    for (const name of ['week34.tar', 'week34.json', 'week34.007.tar', 'week35.tar']) {
      await writeFile(join(dir.path, `${name}.partial`), 'half')
    }
    await new BundleFiles(out).refuseFull(1)
    expect(await names()).toEqual(['week35.tar.partial'])
  })

  it('get their names only if no other export has written in their place', async () => {
    const [one, two] = [new BundleFiles(out), new BundleFiles(out)]
    const late = Promise.withResolvers<void>()
    const first = one.write(out, async (sink) => {
      await sink(Buffer.from('old'))
      await two.write(out, (other) => other(NEW))
      late.resolve()
    })
    await late.promise
    await expect(first).rejects.toThrow(`another export writes to ${out}.partial at this moment`)
    await one.discard()
    await two.publish()
    expect(await readFile(out, 'utf8')).toBe('new')
    expect(await names()).toEqual(['week34.tar'])
  })

  it('take the place of an earlier bundle, and of nobody else’s files', async () => {
    const header = identifyBundle({
      version: 1,
      created: 1,
      tool: 'a test',
      images: [],
      blobs: [],
      requires: [],
      parents: [],
    })
    const earlier = tarOf([
      { path: LAYOUT_ENTRY, bytes: Buffer.from(LAYOUT_BODY) },
      { path: INDEX_ENTRY, bytes: Buffer.from('{"manifests":[]}') },
      { path: HEADER_ENTRY, bytes: formatBundleHeader(header) },
    ])
    await writeFile(join(dir.path, 'week34.001.tar'), earlier)
    await writeFile(join(dir.path, 'week34.002.tar'), 'photographs')
    const files = new BundleFiles(out)
    await files.write(out, (sink) => sink(NEW))
    await files.publish()
    expect(await names()).toEqual(['week34.002.tar', 'week34.tar'])
  })
})
