import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import type { Hop } from '../../src/probe/hop.ts'
import { FakeRegistry } from '../support/fake-registry.ts'
import { buildImage } from '../support/images.ts'
import { makeTempDir } from '../support/temp-dir.ts'
import { TestMirror } from '../support/test-mirror.ts'
import { runHere } from './fake-terminal.ts'

it('asks nobody but the mirror about an upstream that is offline, and tells what that has', async () => {
  await using dir = await makeTempDir()
  await using registry = await FakeRegistry.start()
  registry.add('team/app', buildImage(), '1')
  const online = await TestMirror.start({ upstreams: { 'r.example': { registry } } }, dir)
  await online.fetch('/v2/team/app/manifests/1').then((response) => response.text())
  await online[Symbol.asyncDispose]()
  registry.requests.length = 0
  const upstreams = { 'r.example': { registry, mode: 'offline' as const } }
  await using mirror = await TestMirror.start({ upstreams }, dir)
  const config = { upstreams: { 'r.example': { url: 'http://r.invalid', mode: 'offline' } } }
  await writeFile(join(dir.path, 'mirror.config.json'), JSON.stringify(config))
  const hopsOf = async (image: string, server = mirror.url) => {
    const { stdout } = await runHere(['probe', image, '-o', 'json', '--server', server], dir.path)
    return (JSON.parse(stdout) as { readonly hops: readonly Hop[] }).hops
  }

  expect(await hopsOf('r.example/team/app:1')).toMatchObject([
    { name: 'address', outcome: 'ok' },
    { name: 'upstream', outcome: 'skipped', text: 'r.example is offline: it is asked for nothing' },
    { name: 'mirror', outcome: 'ok', text: `${mirror.url}: oci-mirror; hit; detail=offline` },
  ])
  expect((await hopsOf('r.example/team/app:2')).at(-1)).toMatchObject({
    name: 'mirror',
    outcome: 'failed',
    text: expect.stringContaining(
      'answers 404: r.example/team/app:2 is not in this offline mirror',
    ),
    advice: 'bring it there: `oci-mirror import`',
  })
  expect(registry.requests).toEqual([])

  const fault = registry.inject({ kind: 'manifest', action: { status: 503 } })
  expect((await hopsOf('r.example/team/app:1', registry.url)).at(-1)).toMatchObject({
    outcome: 'failed',
    text: expect.stringContaining('answers 503'),
    advice: 'see the log of the mirror for this request',
  })
  fault.remove()
})
