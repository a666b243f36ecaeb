import { readdir, readFile } from 'node:fs/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openDataDirectory } from '../../src/store/data-directory.ts'
import { FakeRegistry } from '../support/fake-registry.ts'
import { buildImage, buildIndex } from '../support/images.ts'
import { TestMirror } from '../support/test-mirror.ts'
import type { RunOptions } from './fake-terminal.ts'
import { FakeSignals } from './fake-terminal.ts'
import { Workplace } from './workplace.ts'

const IMAGE = buildImage({ seed: 'cli', layerBytes: 2_000_000 })
const ARM64 = buildImage({ seed: 'cli', platform: { os: 'linux', architecture: 'arm64' } })
const INDEX = buildIndex([IMAGE, ARM64])

let registry: FakeRegistry
let place: Workplace

beforeEach(async () => {
  registry = await FakeRegistry.start()
  registry.add('library/app', INDEX, '1')
  const warm = { platforms: ['linux/amd64'], referrers: false }
  place = await Workplace.make(registry.url, { warm })
})
afterEach(async () => {
  await registry.close()
  await place.close()
})

const oci = (args: readonly string[], options?: RunOptions) => place.run(args, options)

describe('without a running mirror', () => {
  it('shows what there is to fetch, fetches it, and has nothing to do then', async () => {
    const plan = await oci(['warm', '--dry-run', 'app:1'])
    expect(plan).toMatchObject({
      code: 0,
      stderr: '',
      stdout: expect.stringMatching(
        /^UPSTREAM +IMAGES +HERE +FETCH +SIZE +ATTACHED +RATE LIMIT\ndocker\.io +1 +0 +1 +4\.0 MB +0 +-\ntotal 1 image for linux\/amd64: 5 blobs, 4\.0 MB to fetch, \d+ GB free\n$/,
      ),
    })
    const done = await oci(['warm', 'app:1'])
    expect(done.code).toBe(0)
    expect(done.stdout).toMatch(/^docker\.io +1 +0 +1 +4\.0 MB +0 +-$/m)
    const again = await oci(['warm', 'app:1'])
    expect(again.stdout).toMatch(/^docker\.io +1 +1 +0 +- +0 +-$/m)
    expect(again.stdout).toMatch(/^total 1 image for linux\/amd64: 0 blobs, 0 B fetched, /m)
    openDataDirectory(place.data.path).release()
  })

  it('names what failed, why and where it is written, and ends with 1', async () => {
    await place.write('images.txt', 'app:1\n# gone\napp:9\nNOT AN IMAGE\n')
    const { code, stdout, stderr } = await oci([
      'warm',
      'images.txt',
      '--platform',
      'linux/arm64,linux/s390x',
    ])
    expect(code).toBe(1)
    expect(stdout).toMatch(
      /^not found {2}docker\.io\/library\/app:9 \(images\.txt:3\) {2}docker\.io\/library\/app:9 does not exist: its registry says so$/m,
    )
    expect(stdout).toMatch(
      /^note +docker\.io\/library\/app:1 \(images\.txt:1\) +there is none for linux\/s390x$/m,
    )
    expect(stdout).toMatch(/ for linux\/arm64, linux\/s390x: 5 blobs/)
    expect(stderr).toMatch(/^error: images\.txt:4: /)
  })

  it('writes what is here with its digests, which is a list again', async () => {
    const { code } = await oci(['warm', 'app:1', 'app:9', '--lock', 'images.lock'])
    expect(code).toBe(1)
    expect(await readFile(place.path('images.lock'), 'utf8')).toBe(
      `# What each image was when \`oci-mirror warm --lock\` fetched it. An input like any other list:
# its images are warmed, checked and exported by their digests.
images:
  - image: docker.io/library/app:1
    digest: ${INDEX.manifest.digest}
    platforms:
      linux/amd64: ${IMAGE.manifest.digest}
`,
    )
    expect((await readdir(place.dir.path)).toSorted()).toEqual([
      'images.lock',
      'mirror.config.json',
    ])
    expect((await oci(['images', 'images.lock'])).stdout).toBe(
      `docker.io/library/app:1@${INDEX.manifest.digest}\n`,
    )
    const { code: again, stdout } = await oci(['warm', '-f', 'images.lock'])
    expect([again, stdout]).toEqual([0, expect.stringMatching(/ 0 blobs, 0 B fetched/)])
    const wrong = await oci(['warm', 'app:1', '--lock', 'none/images.lock'])
    expect(wrong.code).toBe(1)
    expect(wrong.stderr).toMatch(/images\.lock cannot be written: there is no such file/)
  })

  it.each([
    [['warm'], /there is nothing to warm: name images, or files that name them/],
    [['warm', 'app:1', '-j', '0'], /Expected a number from 1 to 32/],
    [['warm', 'app:1', '--dry-run', '--lock', 'x'], /--lock is for what is here/],
    [['warm', 'app:1', '--platform', 'amd64'], /"amd64" is no platform: write linux\/amd64/],
    [['warm', 'gone.txt'], /there is no file or directory gone\.txt/],
  ])('refuses %j as a wrong call', async (args, message) => {
    const { code, stdout, stderr } = await oci(args)
    expect([code, stdout]).toEqual([2, ''])
    expect(stderr).toMatch(message)
  })

  it('draws a bar on a terminal, prints lines of JSON for programs, and nothing if told so', async () => {
    const bar = await oci(['warm', 'app:1'], { isTTY: 'stderr' })
    expect(bar.stderr).toMatch(/█+ 100 % {2}1 of 1 image {2}4\.0 MB of 4\.0 MB/)
    const json = await oci(['warm', 'app:1', '--output', 'json'])
    const report = JSON.parse(json.stdout) as object
    expect(report).toMatchObject({ images: [{ image: 'docker.io/library/app:1', state: 'held' }] })
    const steps = json.stderr
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as object)
    expect(steps.at(-1)).toMatchObject({ finished: { state: 'held' }, images: { done: 1 } })
    const quiet = await oci(['warm', 'app:1', '--no-progress'], { isTTY: 'stderr' })
    expect(quiet.stderr).toBe('')
  })
})

describe('with a running mirror', () => {
  it('is done by that one, which goes on serving and being looked after', async () => {
    const upstreams = { 'docker.io': { registry } }
    const mirror = await TestMirror.start({ upstreams }, place.data)
    await place.serve(mirror.operations)

    const [layer = IMAGE.config] = IMAGE.layers
    const gate = registry.gate({ reference: layer.digest, after: 1_500_000 })
    const signals = new FakeSignals()
    const warming = oci(['warm', 'app:1', '--platform', 'linux/amd64'], { signals })
    await gate.reached
    expect((await oci(['ls'])).code).toBe(0)
    expect((await oci(['pin', 'app:1'])).code).toBe(0)
    signals.emit('SIGINT', 'SIGINT')
    expect(await warming).toMatchObject({
      code: 1,
      stdout: '',
      stderr:
        'error: stopped by SIGINT: what has landed stays, and the next run goes on from here\n',
    })
    await mirror.mirror.idle()
    gate.open()
    await (await mirror.fetch('/v2/library/app/manifests/1')).arrayBuffer()
    const again = await oci(['warm', '--from-log', '1h', '--platform', 'linux/amd64'])
    expect(again).toMatchObject({ code: 0, stdout: expect.stringMatching(/^docker\.io +1 +0 +1/m) })
    await place.stopServing()
    await mirror[Symbol.asyncDispose]()
  })
})
