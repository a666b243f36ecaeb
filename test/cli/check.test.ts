import { readdir, readFile } from 'node:fs/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openDataDirectory } from '../../src/store/data-directory.ts'
import { pull, pullIndex } from '../core/maintenance/pulled.ts'
import { FakeRegistry } from '../support/fake-registry.ts'
import { buildImage, buildIndex } from '../support/images.ts'
import { TestMirror } from '../support/test-mirror.ts'
import { Workplace } from './workplace.ts'

const AMD = buildImage({ seed: 'cli check' })
const ARM = buildImage({
  seed: 'cli check',
  platform: { os: 'linux', architecture: 'arm64' },
})
const INDEX = buildIndex([AMD, ARM])
const OTHER = buildImage({ seed: 'other' })

describe('on the command line', () => {
  let registry: FakeRegistry
  let place: Workplace

  beforeEach(async () => {
    registry = await FakeRegistry.start()
    registry.add('library/app', INDEX, '1')
    registry.add('library/other', OTHER, '1')
    place = await Workplace.make(registry.url)
    openDataDirectory(place.data.path).release()
  })
  afterEach(async () => {
    await registry.close()
    await place.close()
  })

  const write = (name: string, text: string) => place.write(name, text)

  async function start(): Promise<TestMirror> {
    const mirror = await TestMirror.start({ upstreams: { 'docker.io': { registry } } }, place.data)
    await pullIndex(mirror, 'library/app', '1', INDEX, AMD)
    await pull(mirror, 'library/other', '1', OTHER)
    return mirror
  }

  /** A data directory as a mirror leaves it. */
  async function pullOnce(): Promise<void> {
    await (await start()).close()
  }

  const oci = (args: readonly string[], answer?: string) =>
    place.run(args, answer === undefined ? {} : { ask: async () => answer })

  describe('check', () => {
    it('shows a table of what the lists name, and ends with 1 where something is missing', async () => {
      await pullOnce()
      await write('images.txt', 'app:1\napp:9\n')
      const { code, stdout, stderr } = await oci(['check', '-f', 'images.txt', 'other:1'])
      expect({ code, stderr }).toEqual({ code: 1, stderr: '' })
      expect(stdout.split('\n')).toEqual([
        expect.stringMatching(/^IMAGE +PLATFORMS +STATE +MISSING$/),
        expect.stringMatching(/^docker\.io\/library\/other:1 +- +complete +-$/),
        expect.stringMatching(/^docker\.io\/library\/app:1 +linux\/amd64 +complete +-$/),
        expect.stringMatching(/^docker\.io\/library\/app:9 +- +absent +-$/),
        '',
        expect.stringMatching(/^docker\.io\/library\/app:9 is not here; of .* \(images\.txt:2\)$/),
        '',
        '2 of 3 images complete, for linux/amd64',
        '',
      ])
    })

    it('ends with 0 where all of it is here, and with 1 for a line that is none', async () => {
      await pullOnce()
      expect(await oci(['check', 'app:1', '--platform', 'linux/amd64'])).toMatchObject({ code: 0 })
      const all = await oci(['check', 'app:1', '--platform', 'all', '--output', 'json'])
      expect(all.code).toBe(1)
      expect(JSON.parse(all.stdout)).toMatchObject({
        platforms: ['all'],
        complete: 0,
        images: [{ state: 'incomplete', platforms: [{ complete: true }, { complete: false }] }],
      })
      const text = await oci(['check', 'app:1', '--platform', 'all'])
      expect(text.stdout).toMatch(
        /linux\/amd64, linux\/arm64 \(parts\) +incomplete +at least 1 blob, \d+ B/,
      )
      expect(text.stdout).toMatch(/0 of 1 image complete, for all platforms\n$/)
      await write('images.txt', 'app:1\nNot An Image\n')
      const half = await oci(['check', '-f', 'images.txt'])
      expect(half).toMatchObject({ code: 1, stderr: expect.stringMatching(/images\.txt:2: /) })
      expect(half.stdout).toMatch(/^1 of 1 image complete/m)
      expect((await oci(['check', 'other:1', '--signatures'])).stdout).toMatch(/ unsigned +-\n/)
      expect((await oci(['check'])).code).toBe(2)
      expect((await oci(['check', 'app:1', '--platform', 'amd64'])).code).toBe(2)
    })
  })

  describe('inventory', () => {
    it('is JSON on standard output, or a file that is written whole', async () => {
      await pullOnce()
      const { code, stdout } = await oci(['inventory'])
      expect(code).toBe(0)
      const report = JSON.parse(stdout) as { blobs: unknown[] }
      expect(report).toMatchObject({
        version: 1,
        images: [{ image: 'docker.io/library/app:1' }, { image: 'docker.io/library/other:1' }],
      })
      await write('here.json', 'old')
      const written = await oci(['inventory', '-o', 'here.json'])
      expect(written).toMatchObject({
        code: 0,
        stdout: '',
        stderr: expect.stringMatching(/^wrote .*here\.json {2}\(2 images, \d+ blobs\)\n$/),
      })
      const file: unknown = JSON.parse(await readFile(place.path('here.json'), 'utf8'))
      expect(file).toMatchObject({ blobs: report.blobs })
      expect((await readdir(place.dir.path)).toSorted()).toEqual([
        'here.json',
        'mirror.config.json',
      ])
      const said = await oci(['inventory', '--output', 'json'])
      expect(JSON.parse(said.stdout)).toMatchObject({ blobs: report.blobs })
      expect((await oci(['inventory', '--output', 'text'])).code).toBe(2)
      expect((await oci(['inventory', '-o', 'no/such/file'])).stderr).toMatch(/cannot be written/)
    })
  })

  describe('rm --unlisted', () => {
    it('shows the plan and asks, and removes what was in it', async () => {
      await pullOnce()
      await write('keep.txt', 'app:1\nnowhere:1\n')
      const dry = await oci(['rm', '--unlisted', '-f', 'keep.txt', '--dry-run'])
      expect(dry).toMatchObject({ code: 0, stderr: '' })
      expect(dry.stdout.split('\n')).toEqual([
        'would remove  docker.io/library/other:1',
        'listed        1 image of the list is here',
        'not here      docker.io/library/nowhere:1',
        expect.stringMatching(/^would free {4}\d\.\d kB, 4 blobs$/),
        '',
      ])
      const no = await oci(['rm', '--unlisted', '-f', 'keep.txt'], 'n')
      expect(no).toMatchObject({ code: 1, stderr: expect.stringContaining(dry.stdout.trim()) })
      const nobody = await oci(['rm', '--unlisted', '-f', 'keep.txt'])
      expect(nobody).toMatchObject({ code: 2, stderr: expect.stringContaining('say --yes') })
      const yes = await oci(['rm', '--unlisted', '-f', 'keep.txt'], 'y')
      expect(yes).toMatchObject({
        code: 0,
        stdout: expect.stringMatching(/^removed {2}1 image\nfreed {4}\d\.\d kB, 4 blobs\n$/),
      })
      expect((await oci(['ls'])).stdout).toMatch(/\n\n1 image\n$/)
      const again = await oci(['rm', '--unlisted', '-f', 'keep.txt', '--yes'])
      expect(again).toMatchObject({
        code: 0,
        stdout: expect.stringContaining('there is nothing to remove'),
      })
    })

    it.each<[string, string, RegExp]>([
      ['is empty', '# nothing\n', /the list is empty/],
      ['has a bad line', 'app:1\nnot an image\n', /half a list: keep\.txt:2: /],
      ['names nothing here', 'nowhere:1\n', /would keep nothing/],
    ])('removes nothing where the list %s', async (_, text, message) => {
      await pullOnce()
      await write('keep.txt', text)
      const { code, stderr } = await oci(['rm', '--unlisted', '-f', 'keep.txt', '--yes'])
      expect(code).not.toBe(0)
      expect(stderr).toMatch(message)
      expect((await oci(['ls'])).stdout).toMatch(/\n\n2 images\n$/)
    })

    it('removes nothing where nobody can tell what a list means', async () => {
      await pullOnce()
      await write('compose.yaml', 'services:\n  a: {image: "app:${TAG}"}\n  b: {image: "app:1"}\n')
      const { code, stderr } = await oci(['rm', '--unlisted', '-f', 'compose.yaml', '--yes'])
      expect(code).toBe(2)
      expect(stderr).toMatch(/half a list: compose\.yaml:2: app:\$\{TAG\}: /)
      expect((await oci(['rm', '--unlisted', '-f', 'missing.txt', '--yes'])).code).toBe(2)
      expect((await oci(['ls'])).stdout).toMatch(/\n\n2 images\n$/)
    })

    it.each<readonly string[]>([
      ['rm'],
      ['rm', '--unlisted'],
      ['rm', '--unlisted', 'app:1', '-f', 'keep.txt'],
      ['rm', '--unlisted', '--all', '-f', 'keep.txt'],
      ['rm', 'app:1', '-f', 'keep.txt'],
    ])('is called wrongly as %s %s %s %s %s', async (...args) => {
      const { code, stderr } = await oci(args.filter((arg) => arg !== undefined))
      expect(code).toBe(2)
      expect(stderr).toMatch(/^error: (?:-f names|--unlisted|name the images)/)
    })
  })

  describe('with a running mirror', () => {
    let mirror: TestMirror
    let url: string

    beforeEach(async () => {
      mirror = await start()
      url = await place.serve(mirror.operations)
    })
    afterEach(async () => {
      await place.stopServing()
      await mirror.close()
    })

    it('asks that one, with lists of ten thousand too', async () => {
      const lines = Array.from(
        { length: 10_000 },
        (_, n) => `quay.io/some/where/image-${n}:1.0.${n}`,
      )
      await write('long.txt', ['app:1', ...lines].join('\n'))
      const { code, stdout } = await oci(['check', '-f', 'long.txt', '--output', 'json'])
      expect(code).toBe(1)
      const { images, complete } = JSON.parse(stdout) as { images: unknown[]; complete: number }
      expect([images.length, complete]).toEqual([10_001, 0])
      expect((await oci(['inventory'])).stdout).toContain(OTHER.manifest.digest)
      const removed = await oci(['rm', '--unlisted', '-f', 'long.txt', '--yes'])
      expect(removed).toMatchObject({
        code: 0,
        stdout: expect.stringMatching(/^removed {2}1 image/),
      })
      const served = await fetch(`${url}/api/v1/served?since=yesterday`)
      expect([served.status, await served.json()]).toMatchObject([
        400,
        { detail: expect.stringContaining('"since"') },
      ])
    })
  })
})
