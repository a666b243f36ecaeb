import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { digestOf } from '../../src/oci/digest.ts'
import { FakeRegistry } from '../support/fake-registry.ts'
import { buildImage, buildIndex } from '../support/images.ts'
import { expectTrueNames, expectTrueRows } from '../support/oracle.ts'
import type { TempDir } from '../support/temp-dir.ts'
import { makeTempDir } from '../support/temp-dir.ts'
import { BUSYBOX } from './support/debian-packages.ts'
import type { MirrorProgram } from './support/mirror-program.ts'
import { launchMirror, startMirror } from './support/mirror-program.ts'
import { runCommand } from './support/programs.ts'

const AMD = buildImage({ seed: 'offline' })
const ARM = buildImage({ seed: 'offline', platform: { os: 'linux', architecture: 'arm64' } })
const INDEX = buildIndex([AMD, ARM])
const [LAYER = AMD.config] = AMD.layers
const ABSENT = `sha256:${'0'.repeat(64)}`

const HERE = [
  'manifests/1',
  `manifests/${INDEX.manifest.digest}`,
  `manifests/${AMD.manifest.digest}`,
  ...[AMD.config, ...AMD.layers].map(({ digest }) => `blobs/${digest}`),
  'tags/list',
  `referrers/${AMD.manifest.digest}`,
].map((path) => `/v2/library/app/${path}`)
const MISSES = [
  '/v2/library/app/manifests/2',
  `/v2/library/app/manifests/${ARM.manifest.digest}`,
  `/v2/library/app/manifests/${ABSENT}`,
  `/v2/library/app/blobs/${ABSENT}`,
  '/v2/library/other/manifests/1',
  '/v2/library/other/tags/list',
]

/** System calls that leave the machine, or ask how it would be done. */
const OUTWARD = /\b(socket|connect|sendto|sendmsg|sendmmsg)\(|resolv\.conf|nsswitch\.conf|\/hosts"/
/** Of the answers themselves, on connections that clients have opened. */
const LISTENING = /\bsend(to|msg|mmsg)\(.*HTTP\/1\.1 /

let dir: TempDir
let registry: FakeRegistry
let config: { readonly upstreams: Readonly<Record<string, object>> }
let mirror: MirrorProgram | undefined

beforeAll(async () => {
  dir = await makeTempDir()
  registry = await FakeRegistry.start()
  registry.add('library/app', INDEX, '1')
  // By name, so that asking it takes a look-up.
  const url = registry.url.replace('127.0.0.1', 'localhost')
  config = { upstreams: { 'docker.io': { url } } }
})
afterAll(async () => {
  await mirror?.stop()
  await registry.close()
  await dir?.remove()
})

async function stop(): Promise<void> {
  await mirror?.stop()
  mirror = undefined
}

/** Starts it under strace; the answer tells what it has called since it was asked last. */
async function startTraced(...flags: readonly string[]) {
  const trace = join(dir.path, `trace-${flags.join('')}`)
  const under = ['strace', '-D', '-f', '-qq', '-e', 'trace=%network,openat', '-o', trace]
  const started = await startMirror({ dir: dir.path, config, flags, under })
  mirror = started
  let seen = 0
  const calls = async () => {
    // strace writes a line when the call is over, and it is another process.
    await sleep(500)
    const lines = (await readFile(trace, 'utf8')).split('\n')
    return lines.slice(seen, (seen = lines.length))
  }
  await calls()
  const outward = async () =>
    (await calls()).filter((line) => OUTWARD.test(line) && !LISTENING.test(line))
  return { mirror: started, calls, outward }
}

describe('a mirror without upstreams', () => {
  it('is filled while it has them, which takes look-ups and connections', async () => {
    const { mirror: online, outward } = await startTraced()
    for (const path of HERE) expect((await fetch(online.url + path)).status).toBe(200)
    const calls = await outward()
    for (const call of [/connect\(.*AF_INET/, /resolv\.conf/]) {
      expect(calls.some((line) => call.test(line))).toBe(true)
    }
    await stop()
  })

  it('answers what is here and what is not without a socket of its own, and looks up no name', async () => {
    const { mirror: offline, calls, outward } = await startTraced('--offline')
    registry.requests.length = 0
    for (const path of HERE) expect((await fetch(offline.url + path)).status).toBe(200)
    for (const path of MISSES) {
      for (const method of ['GET', 'HEAD']) {
        expect((await fetch(offline.url + path, { method })).status).toBe(404)
      }
    }
    expect(await outward()).toEqual([])
    // What shows that the trace goes on: each client's connection is accepted.
    await fetch(offline.url + MISSES[0], { headers: { connection: 'close' } })
    await fetch(offline.url + MISSES[0], { headers: { connection: 'close' } })
    expect((await calls()).some((line) => line.includes('accept4('))).toBe(true)
    expect(registry.requests).toEqual([])
    expect(offline.logs().find(({ msg }) => msg === 'started')).toMatchObject({
      offline: ['docker.io'],
    })
    expect(await offline.command('stats')).toMatch(/^docker\.io .* offline +-$/m)
    await stop()
    await expectTrueNames(join(dir.path, 'data'))
    await expectTrueRows(join(dir.path, 'data'))
  })

  it('serves where there is no network and no resolver', async () => {
    await registry.stop()
    const setUp = `${BUSYBOX} ip link set lo up && mount --bind /dev/null /etc/resolv.conf`
    const under = ['unshare', '--net', '--mount', 'sh', '-c', `${setUp} && exec "$@"`, 'sh']
    const started = await launchMirror({ dir: dir.path, config, flags: ['--offline'], under })
    mirror = started
    const inside = [
      '--net',
      `--target=${started.program.pid}`,
      'curl',
      '--silent',
      '--max-time',
      '5',
    ]
    const curl = (...args: readonly string[]) => runCommand('nsenter', [...inside, ...args])
    await started.program.ready(() =>
      curl('--fail', `${started.url}/readyz`).then(
        () => true,
        // Not listening yet.
        () => false,
      ),
    )
    const status = ['--output', '/dev/null', '--write-out', '%{http_code}']
    for (const path of HERE) expect(await curl(...status, started.url + path)).toBe('200')
    for (const path of MISSES) expect(await curl(...status, started.url + path)).toBe('404')
    const file = join(dir.path, 'layer')
    await curl('--output', file, `${started.url}/v2/library/app/blobs/${LAYER.digest}`)
    expect(digestOf(await readFile(file))).toBe(LAYER.digest)
    expect(await curl(`${started.url}/v2/library/app/manifests/2`)).toContain(
      'docker.io/library/app:2 is not in this offline mirror; it has 1 (import a bundle, or warm it online)',
    )
    await stop()
  })
})
