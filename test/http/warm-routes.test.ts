import { afterEach, beforeEach, expect, it } from 'vitest'
import type { WarmProgress, WarmReport, WarmRequest } from '../../src/core/airgap/warm-api.ts'
import type { Operations } from '../../src/core/operations.ts'
import { createAdmin } from '../../src/http/admin.ts'
import type { HttpServer } from '../../src/http/server.ts'
import { listen } from '../../src/http/server.ts'

const QUIET = { debug() {}, info() {}, warn() {}, error() {} }
const STEP: WarmProgress = {
  images: { done: 0, failed: 0, total: 1 },
  bytes: { done: 1, total: 2 },
  current: ['docker.io/library/app:1'],
}
const REPORT: WarmReport = {
  dryRun: false,
  platforms: ['all'],
  images: [],
  upstreams: [],
  fetch: { blobs: 0, bytes: 0, unsharedBytes: 0 },
}

let requests: WarmRequest[]
let steps = 1
let stopped: Promise<unknown> | undefined
let answer: () => Promise<WarmReport>
let server: HttpServer

beforeEach(async () => {
  requests = []
  steps = 1
  stopped = undefined
  answer = async () => REPORT
  const operations = {
    warm: {
      warm: (
        request: WarmRequest,
        onProgress: (step: WarmProgress) => void,
        signal: AbortSignal,
      ) => {
        requests.push(request)
        stopped = new Promise((resolve) => signal.addEventListener('abort', resolve))
        for (let n = 0; n < steps; n += 1) onProgress(STEP)
        return answer()
      },
    },
  } as unknown as Operations
  const metrics = async () => ({ contentType: 'text/plain', body: '' })
  const admin = createAdmin({ operations, metrics, data: '/data', names: new Set(), log: QUIET })
  server = await listen({ host: '127.0.0.1', port: 0 }, admin)
})
afterEach(async () => {
  await server.drain(0)
})

function post(body: unknown, signal?: AbortSignal): Promise<Response> {
  return fetch(`http://127.0.0.1:${server.port}/api/v1/warm`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
    ...(signal && { signal }),
  })
}

const lines = async (response: Response) =>
  (await response.text())
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as object)

it('answers with a line for each step, and the report', async () => {
  const images = [{ reference: 'app:1', from: 'x.txt:3' }, { reference: 'app:2' }]
  const response = await post({
    images,
    platforms: ['linux/arm64'],
    referrers: false,
    jobs: 2,
    pin: true,
  })
  expect(response.headers.get('content-type')).toBe('application/x-ndjson')
  expect(await lines(response)).toEqual([{ progress: STEP }, { report: REPORT }])
  expect(requests).toEqual([
    {
      images,
      platforms: ['linux/arm64'],
      referrers: false,
      jobs: 2,
      pin: true,
      dryRun: false,
      failFast: false,
    },
  ])
})

it('tells in its last line what went wrong', async () => {
  answer = () => Promise.reject(new Error('the disk is gone'))
  expect(await lines(await post({ images: [] }))).toEqual([
    { progress: STEP },
    { error: { detail: 'the disk is gone' } },
  ])
})

it('stops when whoever asked for it leaves', async () => {
  answer = () => new Promise(() => {})
  const leave = new AbortController()
  const response = await post({ images: [] }, leave.signal)
  await response.body?.getReader().read()
  leave.abort()
  await stopped
  expect(requests).toHaveLength(1)
})

it('takes lists of many megabytes, which no other request may be', async () => {
  const images = Array.from({ length: 40_000 }, (_, n) => ({
    reference: `registry.example/group/project/app-${n}:1.2.3`,
    from: `deploy/production/manifests.yaml:${n}`,
  }))
  expect((await post({ images })).status).toBe(200)
  expect(requests[0]?.images).toHaveLength(images.length)
  const other = await fetch(`http://127.0.0.1:${server.port}/api/v1/pin`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ references: images.map(({ reference }) => reference) }),
  })
  expect(other.status).toBe(413)
})

it.each([
  [{ images: ['app:1'] }, /"images" has to be a list of at most 50000 objects/],
  [{ images: [{ reference: 'app:1', form: 'x' }] }, /"images" has to be a list/],
  [{ images: [], platforms: 'all' }, /"platforms" has to be a list/],
  [{ images: [], jobs: -1 }, /"jobs" has to be a number above 0/],
  [{ images: [], dryrun: true }, /there is no field "dryrun" here/],
])('refuses %j', async (body, detail) => {
  const response = await post(body)
  expect(response.status).toBe(400)
  expect(await response.json()).toMatchObject({
    problem: 'invalid',
    detail: expect.stringMatching(detail),
  })
  expect(requests).toEqual([])
})

it('leaves out steps that nobody reads, and never the report', async () => {
  steps = 5_000
  const response = await post({ images: [{ reference: 'app:1' }] })
  const lines = (await response.text()).trimEnd().split('\n')
  expect(lines.length).toBeGreaterThan(900)
  expect(lines.length).toBeLessThan(1_100)
  expect(JSON.parse(lines.at(-1) ?? '')).toEqual({ report: REPORT })
})
