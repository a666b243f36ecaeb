import { afterEach, beforeEach, expect, it } from 'vitest'
import { openDataDirectory } from '../../src/store/data-directory.ts'
import { pull } from '../core/maintenance/pulled.ts'
import { FakeRegistry } from '../support/fake-registry.ts'
import { buildImage } from '../support/images.ts'
import { TestMirror } from '../support/test-mirror.ts'
import { Workplace } from './workplace.ts'

const IMAGES = { app: buildImage({ seed: 'app' }), tool: buildImage({ seed: 'tool' }) }

let registry: FakeRegistry
let place: Workplace

beforeEach(async () => {
  registry = await FakeRegistry.start()
  place = await Workplace.make(registry.url, { warm: { platforms: ['linux/amd64'] } })
  await pullAll()
})
afterEach(async () => {
  await registry.close()
  await place.close()
})

/** Both images, by a client of a mirror that has ended since. */
async function pullAll(): Promise<void> {
  openDataDirectory(place.data.path).release()
  for (const [name, image] of Object.entries(IMAGES)) registry.add(`org/${name}`, image, '1')
  const mirror = await TestMirror.start({ upstreams: { 'docker.io': { registry } } }, place.data)
  for (const [name, image] of Object.entries(IMAGES)) await pull(mirror, `org/${name}`, '1', image)
  await mirror.close()
}

const put = (name: string, text: string) => place.write(name, text)
const oci = (...args: readonly string[]) => place.run(args)

it('lists what the mirror has served', async () => {
  expect(await oci('images', '--from-log', '1h')).toEqual({
    code: 0,
    stdout: 'docker.io/org/app:1\ndocker.io/org/tool:1\n',
    stderr: '2 images, 0 maybe\n',
  })
  const why = await oci('images', '--from-log', '1h', '--why', 'org/app:1')
  expect(why.stdout).toBe('docker.io/org/app:1\n  served by the mirror\n')
  expect((await oci('images', '--from-log', 'ever')).code).toBe(2)
})

it('checks what a compose file names', async () => {
  await put('compose.yaml', 'services: { a: { image: org/app:1 }, b: { image: org/gone:1 } }\n')
  const { code, stdout } = await oci('check', '-f', 'compose.yaml', '--output', 'json')
  expect(code).toBe(1)
  expect(JSON.parse(stdout)).toMatchObject({
    complete: 1,
    images: [
      { image: 'docker.io/org/app:1', from: 'compose.yaml:1', state: 'complete' },
      { image: 'docker.io/org/gone:1', from: 'compose.yaml:1', state: 'absent' },
    ],
  })
})

it('removes nothing that a list may mean', async () => {
  await put('values.yaml', 'image: { repository: org/app, tag: 1 }\n')
  expect(await oci('rm', '--unlisted', '-f', 'values.yaml', '--dry-run')).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/^would remove +docker\.io\/org\/tool:1\n(?!would remove)/),
  })
  await put(
    'compose.yaml',
    'services: { a: { image: "org/app:$TAG" }, b: { image: org/tool:1 } }\n',
  )
  expect(await oci('rm', '--unlisted', '-f', 'compose.yaml', '--yes')).toMatchObject({
    code: 2,
    stdout: '',
    stderr: expect.stringMatching(/^error: .*compose\.yaml:1: .*\$TAG has no value here\n$/),
  })
})
