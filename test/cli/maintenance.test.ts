import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openDataDirectory } from '../../src/store/data-directory.ts'
import { FakeRegistry } from '../support/fake-registry.ts'
import { buildImage } from '../support/images.ts'
import { TestMirror } from '../support/test-mirror.ts'
import type { RunOptions } from './fake-terminal.ts'
import { FakeSignals } from './fake-terminal.ts'
import { Workplace } from './workplace.ts'

const IMAGE = buildImage({ seed: 'cli' })
const NAME = 'docker.io/library/app:1'

let registry: FakeRegistry
let place: Workplace

beforeEach(async () => {
  registry = await FakeRegistry.start()
  registry.add('library/app', IMAGE, '1')
  place = await Workplace.make(registry.url)
})
afterEach(async () => {
  await registry.close()
  await place.close()
})

/** A data directory as a mirror leaves it. */
async function pullOnce(): Promise<void> {
  openDataDirectory(place.data.path).release()
  const mirror = await start()
  await mirror.close()
}

async function start(): Promise<TestMirror> {
  const mirror = await TestMirror.start({ upstreams: { 'docker.io': { registry } } }, place.data)
  for (const path of ['manifests/1', ...IMAGE.layers.map(({ digest }) => `blobs/${digest}`)]) {
    await (await mirror.fetch(`/v2/library/app/${path}`)).arrayBuffer()
  }
  await mirror.settle()
  return mirror
}

const oci = (args: readonly string[], options?: RunOptions) => place.run(args, options)

/** Runs a command line for a person who types these answers. */
async function typing(args: readonly string[], answers: readonly string[]) {
  let asked = 0
  const said = await oci(args, { ask: async () => answers[asked++] ?? '' })
  return { ...said, asked }
}

describe('without a running mirror', () => {
  it('works on the data directory itself, and lets it go again', async () => {
    await pullOnce()
    expect(await oci(['ls'])).toMatchObject({
      code: 0,
      stderr: '',
      stdout: expect.stringMatching(
        /^IMAGE +DIGEST +HERE +BLOBS +CHECKED\ndocker\.io\/library\/app:1 +sha256:\w{12} +\d\.\d kB +3\/4 +(?:\d+ s ago|now)\n\n1 image\n$/,
      ),
    })
    expect((await oci(['pin', 'app:1'])).stdout).toBe(
      `pinned  ${NAME}  (1 blob of it not here yet: kept once pulled)\n`,
    )
    const listed: unknown = JSON.parse((await oci(['ls', '--output', 'json'])).stdout)
    expect(listed).toMatchObject([{ image: NAME, pinned: true, digest: IMAGE.manifest.digest }])
    expect((await oci(['stats'])).stdout).toMatch(/^mirror +not running$/m)
    expect((await oci(['verify', '--rate', '1MB'])).stdout).toMatch(
      /^verified  3 blobs, \d\.\d kB: all as they should be\n$/,
    )
    openDataDirectory(place.data.path).release()
  })

  it('makes no data directory where there is none', async () => {
    const { code, stderr } = await oci(['ls'])
    expect(code).toBe(1)
    expect(stderr).toBe(
      `error: there is no data directory of oci-mirror at ${place.data.path}: start the mirror once, or name its configuration (-c) or directory (storage.dir)\n`,
    )
  })

  it('refuses a directory of another version, and one that a mirror has', async () => {
    await pullOnce()
    const lock = openDataDirectory(place.data.path)
    expect(await oci(['gc', '--yes'])).toMatchObject({
      code: 1,
      stderr: `error: a running oci-mirror has the data directory ${place.data.path}, but admin.listen is false: name the configuration that it runs with (-c), or stop it\n`,
    })
    lock.release()
    await writeFile(join(place.data.path, 'format'), '99\n')
    const { code, stderr } = await oci(['ls'])
    expect(code).toBe(1)
    expect(stderr).toMatch(/has format "99", this program reads 1: use the version/)
  })
})

describe('with a running mirror', () => {
  let mirror: TestMirror

  async function serve(shownAs?: string): Promise<void> {
    mirror = await start()
    await place.serve(mirror.operations, shownAs)
  }
  afterEach(async () => {
    await place.stopServing()
    await mirror.close()
  })

  it('asks that one', async () => {
    await serve()
    expect((await oci(['show', 'app:1'])).stdout).toMatch(/^└─ layer +sha256:\w{64} +\d\.\d kB$/m)
    expect((await oci(['stats'])).stdout).toMatch(/^docker\.io +3 +0 +0 % .* up +-$/m)
    expect((await oci(['tags', 'app'])).stdout).toContain(IMAGE.manifest.digest)
    expect((await oci(['hold', 'app:1'])).stdout).toMatch(/^held +docker\.io\/library\/app:1\n/)
    expect((await oci(['release', 'app:1'])).code).toBe(0)
    expect((await oci(['verify', 'app:1'])).stdout).toMatch(/^verified  3 blobs/)
    expect(await oci(['show', 'nope'])).toMatchObject({
      code: 1,
      stdout: '',
      stderr: expect.stringMatching(/^error: docker\.io\/library\/nope:latest is not here/),
    })
    expect((await oci(['show', 'NOPE'])).code).toBe(2)
  })

  it('verifies until it is stopped, and goes on from there', async () => {
    await serve()
    const signals = new FakeSignals()
    const run = oci(['verify', '--rate', '1B'], { signals })
    await expect
      .poll(() => mirror.maintenance.gc(true).catch((reason: Error) => reason.message))
      .toMatch(/`verify` is running/)
    signals.emit('SIGINT', 'SIGINT')
    expect(await run).toMatchObject({
      code: 1,
      stdout: '',
      stderr: 'error: stopped by SIGINT: the next run goes on from here\n',
    })
    await expect.poll(async () => (await oci(['verify'])).stdout).toMatch(/in a run that began at/)
    expect((await oci(['verify'])).stdout).not.toMatch(/in a run/)
  })

  it('is not given the commands of another mirror', async () => {
    await serve('/other/data')
    const { code, stderr } = await oci(['rm', '--yes', 'app:1'])
    expect(code).toBe(1)
    expect(stderr).toMatch(/keeps its data in \/other\/data, this configuration says .*: name that/)
    expect((await mirror.maintenance.images({})).items).toHaveLength(1)
  })

  it('shows what it will remove, and asks', async () => {
    await serve()
    const no = await typing(['rm', 'app:1'], ['n'])
    expect(no).toMatchObject({ code: 1, stdout: '', asked: 1 })
    expect(no.stderr).toMatch(
      /^would remove {2}docker\.io\/library\/app:1 {2}\(1 manifest\)\nwould free {4}\d\.\d kB, 3 blobs\nNothing has been removed\.\n$/,
    )
    const nobody = await oci(['rm', 'app:1'])
    expect(nobody.code).toBe(2)
    expect(nobody.stderr).toMatch(/nobody is here to be asked: say --yes to do this, or --dry-run/)
    expect((await oci(['rm', '--dry-run', 'app:1'])).stdout).toMatch(/^would remove/)
    expect((await mirror.maintenance.images({})).items).toHaveLength(1)
    expect((await typing(['rm', 'app:1'], ['y'])).stdout).toMatch(
      /^removed .*\nfreed +\d\.\d kB, 3 blobs\n$/,
    )
    expect((await oci(['ls'])).stdout).toBe(
      'Nothing is here yet: pull an image through the mirror.\n',
    )
    expect((await oci(['gc'])).stdout).toMatch(/^Nothing to remove/)
  })
})

it('says what listens in the place of the admin listener', async () => {
  await place.configure(new URL(registry.url).host)
  const { code, stderr } = await oci(['ls'])
  expect(code).toBe(1)
  expect(stderr).toMatch(
    /^error: what listens at http:\S+ does not answer as oci-mirror does: stop/,
  )
})
