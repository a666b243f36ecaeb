import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { digestOf } from '../../src/oci/digest.ts'
import { ManualClock } from '../support/clock.ts'
import type { FakeRegistryOptions } from '../support/fake-registry.ts'
import { FakeRegistry } from '../support/fake-registry.ts'
import type { Fault, FaultAction } from '../support/fault.ts'
import { buildBlob } from '../support/images.ts'
import { expectIntact } from '../support/oracle.ts'
import { TestMirror } from '../support/test-mirror.ts'
import { hastyClock } from '../upstream/open-for.ts'

const REPOSITORY = 'library/app'
const MIB = 1024 * 1024
const BLOB = buildBlob('bodies', 2 * MIB + 1_234)
const PATH = `/v2/${REPOSITORY}/blobs/${BLOB.digest}`
const CANARY = 'canary-password'
const DEAD = 'http://127.0.0.1:1'
const CUT = { cut: { after: MIB, how: 'fin' } } as const

let registry: FakeRegistry
let mirror: TestMirror
let clock: ManualClock

beforeEach(() => {
  clock = new ManualClock()
})
afterEach(async () => {
  await mirror[Symbol.asyncDispose]()
  await registry.close()
})

async function start(options: FakeRegistryOptions = {}): Promise<void> {
  registry = await FakeRegistry.start({
    auth: { kind: 'token', users: { mirror: CANARY } },
    ...options,
  })
  registry.addBlob(REPOSITORY, BLOB)
  const timeouts = { connect: 1_000, headers: 1_000, body: 200 }
  mirror = await TestMirror.start({
    upstreams: {
      'docker.io': {
        registry,
        credentials: () => Promise.resolve({ username: 'mirror', password: CANARY }),
        redirectHosts: [...registry.hosts(), '127.0.0.1:1'],
        deps: { clock: { ...hastyClock, now: () => clock.now() }, timeouts },
      },
    },
    clock,
  })
}

function inject(...faults: readonly Omit<Fault, 'kind'>[]): void {
  for (const fault of faults) registry.inject({ kind: 'blob', ...fault })
}

/** What one client got: `whole`, a status that is an error, or `short`. */
async function pull(): Promise<string> {
  const response = await mirror.fetch(PATH)
  try {
    const bytes = new Uint8Array(await response.arrayBuffer())
    if (response.status !== 200) return String(response.status)
    return digestOf(bytes) === BLOB.digest ? 'whole' : 'wrong'
  } catch {
    // How a body that is cut short looks to fetch.
    return 'short'
  }
}

function pullThrice(): Promise<readonly string[]> {
  return Promise.all([pull(), pull(), pull()])
}

describe('a download is mended, unseen by its clients, where', () => {
  const cdn: FakeRegistryOptions = { redirect: {} }
  const MENDED: readonly [string, FakeRegistryOptions, ...Omit<Fault, 'kind'>[]][] = [
    ['the connection is reset', {}, { times: 1, action: { cut: { after: MIB, how: 'reset' } } }],
    ['the connection is closed', {}, { times: 1, action: CUT }],
    ['chunks stop before the last', {}, { times: 1, action: { length: 'chunked', ...CUT } }],
    ['it stalls', {}, { times: 1, action: { stallAfter: MIB } }],
    ['it breaks again and again', {}, { times: 2, action: CUT }],
    [
      'the rest begins again at the first byte',
      {},
      { times: 1, action: CUT },
      { ranged: true, action: { ignoreRange: true } },
    ],
    [
      'the rest is an error for a moment',
      {},
      { times: 1, action: CUT },
      { ranged: true, times: 2, action: { status: 503 } },
    ],
    [
      'the rest is wanted with another token',
      {},
      { times: 1, action: CUT },
      { ranged: true, times: 1, action: { status: 401 } },
    ],
    ['the storage breaks off', cdn, { server: 'cdn', times: 1, action: CUT }],
    [
      'the signature has run out by then',
      cdn,
      { server: 'cdn', times: 1, action: CUT },
      { server: 'cdn', ranged: true, times: 1, action: { status: 403 } },
    ],
    [
      'the storage is dead and the registry knows another',
      cdn,
      { server: 'registry', times: 1, action: { redirect: `${DEAD}/x` } },
    ],
    [
      'the registry redirects to a path, with a fragment',
      {},
      { times: 1, action: { redirect: `${PATH}#x` } },
    ],
    ['it has no end', {}, { action: { endless: true, length: BLOB.size } }],
    [
      'fifty hints come first',
      {},
      { action: { rawBefore: 'HTTP/1.1 103 Early Hints\r\n\r\n'.repeat(50) } },
    ],
    [
      'an answer to nothing follows',
      {},
      { action: { rawAfter: { bytes: 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}' } } },
    ],
  ]

  it.each(MENDED)('%s', async (_, options, ...faults) => {
    await start(options)
    inject(...faults)
    expect(await pullThrice()).toEqual(['whole', 'whole', 'whole'])
    await mirror.settle()
    expect(await mirror.store.stat(BLOB.digest)).toEqual({ size: BLOB.size })
    await expectIntact(mirror, { retry: [PATH], canaries: [CANARY] })
  })
})

describe('no client gets a whole answer, and nothing is kept, where', () => {
  const rest = (action: FaultAction): Omit<Fault, 'kind'>[] => [
    { times: 1, action: CUT },
    { ranged: true, action },
  ]
  const raw = (head: string): Omit<Fault, 'kind'>[] => [
    { action: { raw: `HTTP/1.1 200 OK\r\n${head}\r\n\r\n{}` } },
  ]
  const REFUSED: readonly [string, readonly string[], readonly Omit<Fault, 'kind'>[]][] = [
    ['a byte is wrong', ['short'], [{ action: { corrupt: 5 } }]],
    [
      'the end of the connection comes early and no length was told',
      ['short', '502'],
      [{ action: { length: 'close', body: BLOB.bytes.subarray(0, MIB + 5_000) } }],
    ],
    ['the length is too small', ['short'], [{ action: { length: BLOB.size - 1_000 } }]],
    ['the length is too large', ['short'], [{ action: { length: BLOB.size + 1_000 } }]],
    ['it breaks for ever', ['short'], [{ times: 1, action: CUT }, { action: { hangUp: 'reset' } }]],
    [
      'the rest is from another place',
      ['short'],
      rest({ headers: { 'content-range': `bytes ${MIB + 1}-${BLOB.size - 1}/${BLOB.size}` } }),
    ],
    [
      'the rest is of another blob',
      ['short'],
      rest({ headers: { 'content-range': `bytes ${MIB}-${BLOB.size}/${BLOB.size + 1}` } }),
    ],
    [
      'the rest comes in several parts',
      ['short'],
      rest({
        headers: { 'content-range': undefined, 'content-type': 'multipart/byteranges; boundary=x' },
      }),
    ],
    ['there is no rest', ['short'], rest({ status: 416 })],
    ['the rest has changed in the meantime', ['short'], rest({ corrupt: 5 })],
    [
      'the rest begins at the first byte each time',
      ['short'],
      [{ action: { ignoreRange: true, ...CUT } }],
    ],
    ['it is compressed', ['short'], [{ action: { gzip: true } }]],
    [
      'it is a web page',
      ['502'],
      [{ action: { body: '<html>', headers: { 'content-type': 'text/html' } } }],
    ],
    ['it is redirected in a circle', ['502'], [{ action: { redirect: PATH } }]],
    ['it is redirected to nowhere', ['502'], [{ action: { status: 307 } }]],
    ['it is redirected to a file', ['502'], [{ action: { redirect: 'file:///etc/passwd' } }]],
    ['the storage is dead', ['503'], [{ action: { redirect: `${DEAD}/x` } }]],
    ['it has two lengths', ['502'], raw('Content-Length: 2\r\nContent-Length: 3')],
    ['it has a length and chunks', ['502'], raw('Content-Length: 2\r\nTransfer-Encoding: chunked')],
    ['its head is too long', ['502'], raw(`X: ${'a'.repeat(20_000)}`)],
    ['it is no HTTP', ['502'], [{ action: { raw: 'SSH-2.0-OpenSSH_9.2\r\n' } }]],
    ['there is no answer', ['504'], [{ action: { stall: true } }]],
  ]

  it.each(REFUSED)('%s', async (_, allowed, faults) => {
    await start()
    inject(...faults)
    const got = await pullThrice()
    expect(got.filter((one) => !allowed.includes(one))).toEqual([])
    await mirror.settle()
    expect(await mirror.store.stat(BLOB.digest)).toBeUndefined()
    // Hops of a circle are requests too.
    expect(registry.count({ kind: 'blob' })).toBeLessThanOrEqual(8)
    registry.reset()
    await clock.advance(31_000)
    await expectIntact(mirror, { retry: [PATH], canaries: [CANARY] })
  })
})
