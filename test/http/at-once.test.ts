import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { FakeRegistry } from '../support/fake-registry.ts'
import { buildImage } from '../support/images.ts'
import type { TempDir } from '../support/temp-dir.ts'
import { makeTempDir } from '../support/temp-dir.ts'
import { TestMirror } from '../support/test-mirror.ts'

const IMAGE = buildImage()
const { digest } = IMAGE.manifest

let registry: FakeRegistry
let dir: TempDir

beforeEach(async () => {
  dir = await makeTempDir()
  registry = await FakeRegistry.start()
  registry.add('library/app', IMAGE, 'v1')
  const mirror = await start()
  await (await mirror.fetch('/v2/library/app/manifests/v1')).arrayBuffer()
  await mirror.close()
})
afterEach(async () => {
  await registry.close()
  await dir.remove()
})

function start() {
  return TestMirror.start({ upstreams: { 'docker.io': { registry } } }, dir)
}

/** After a restart the first answer is read from disk, the second one is in memory. */
async function twice(reference: string, init: RequestInit) {
  await using mirror = await start()
  const answers = []
  for (let n = 0; n < 2; n += 1) {
    const response = await mirror.fetch(`/v2/library/app/manifests/${reference}`, init)
    const body = Buffer.from(await response.arrayBuffer()).toString('base64')
    const { date: _, 'x-request-id': id, ...headers } = Object.fromEntries(response.headers)
    answers.push({ id, answer: { status: response.status, headers, body } })
  }
  await expect.poll(() => mirror.records.length).toBe(2)
  const records = mirror.records.map(({ id, ...record }) => ({ id, record: { ...record, ms: 0 } }))
  return { answers, records }
}

describe('an answer from memory', () => {
  it.each<[string, string, RequestInit]>([
    ['a GET by tag', 'v1', {}],
    ['a GET by digest', digest, {}],
    ['a HEAD by tag', 'v1', { method: 'HEAD' }],
    ['a HEAD by digest', digest, { method: 'HEAD' }],
    ['a client that has it', digest, { headers: { 'if-none-match': `"${digest}"` } }],
    ['a HEAD of a client that has it', 'v1', { method: 'HEAD', headers: { 'if-none-match': '*' } }],
    [
      'a client that named the upstream in a header',
      'v1',
      { headers: { 'oci-namespace': 'docker.io' } },
    ],
  ])('is the same as one from disk for %s, in all but its id', async (_, reference, init) => {
    const { answers, records } = await twice(reference, init)
    const [disk, memory] = answers
    expect(memory?.answer).toEqual(disk?.answer)
    expect(memory?.id).not.toBe(disk?.id)
    expect(memory?.answer.headers['cache-status']).toBe('oci-mirror; hit')
    const [first, second] = records
    expect(second?.record).toEqual(first?.record)
    expect(second?.id).toBe(memory?.id)
  })

  it('is refused to a request with a body, and to one that does not read', async () => {
    await using mirror = await start()
    const path = `/v2/library/app/manifests/${digest}`
    await (await mirror.fetch(path)).arrayBuffer()
    expect((await mirror.fetch(path)).status).toBe(200)
    expect((await mirror.fetch(path, { method: 'DELETE' })).status).toBe(405)
    expect((await mirror.fetch(path, { method: 'PUT', body: 'x' })).status).toBe(405)
    expect((await mirror.fetch(path)).status).toBe(200)
  })
})
