import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { readSize } from '../src/config/size.ts'
import { digestOf } from '../src/oci/digest.ts'
import { OCI_MANIFEST } from '../src/oci/media-types.ts'
import type { MirrorProgram } from '../test/e2e/support/mirror-program.ts'
import { startMirror, startScript } from '../test/e2e/support/mirror-program.ts'
import { freePort } from '../test/e2e/support/programs.ts'
import { FakeRegistry } from '../test/support/fake-registry.ts'
import { buildHugeBlob } from '../test/support/images.ts'

/**
 * Export and import against `cp` plus `sha256sum` of the same bytes, in one run and one directory:
 * `npm run bench:airgap -- --size 4GiB --dir /mnt/ssd`. It uses four times the size on disk.
 */
const { values } = parseArgs({
  options: {
    size: { type: 'string', default: '2GiB' },
    layers: { type: 'string', default: '16' },
    dir: { type: 'string', default: tmpdir() },
  },
})
const size = readSize(values.size)
const layers = Number(values.layers)
if (!('value' in size) || !Number.isInteger(layers) || layers < 1) {
  throw new Error('bench: --size has to be a size such as 2GiB, and --layers a whole number')
}

interface Measured {
  readonly seconds: number
  /** Bytes that were resident at most; of the largest of its processes. */
  readonly peak: number
}

const ROOT = join(import.meta.dirname, '..')
const POLL_MS = 20
const MIB = 2 ** 20
const bytes = size.value
const dir = await mkdtemp(join(values.dir, 'oci-mirror-bench-'))
try {
  say(`${layers} layers, ${Math.round(bytes / MIB)} MiB in all, in ${dir}`)
  const from = await stock()
  const copied = { plain: await baseline(''), synced: await baseline('sync -f "$1"') }
  const bundle = join(dir, 'bench.tar')
  const nobody = `127.0.0.1:${await freePort()}`
  const carry = ['export', '--all', '-o', bundle]
  tell('export', await command(from, nobody, ...carry), copied)
  await rm(bundle)
  const running = await start(from)
  const { host } = new URL(running.adminUrl)
  tell('export, mirror running', await command(from, host, ...carry, '--force'), copied)
  say(`  the mirror had ${Math.round((await running.peakMemory()) / MIB)} MiB at most`)
  await running.stop()
  const to = { ...from, dataDir: join(dir, 'to') }
  tell('import', await command(to, nobody, 'import', bundle), copied)
  tell('import again', await command(to, nobody, 'import', bundle), copied)
  const third = { ...from, dataDir: join(dir, 'third') }
  const taking = await start(third)
  const listener = new URL(taking.adminUrl).host
  tell('import, mirror running', await command(third, listener, 'import', bundle), copied)
  say(`  the mirror had ${Math.round((await taking.peakMemory()) / MIB)} MiB at most`)
  await taking.stop()
} finally {
  await rm(dir, { recursive: true })
}

interface Baselines {
  readonly plain: Measured
  readonly synced: Measured
}

interface Side {
  readonly dataDir: string
  readonly upstream: string
}

/** A mirror's data directory with one large image in it. */
async function stock(): Promise<Side> {
  const registry = await FakeRegistry.start()
  const side = { dataDir: join(dir, 'from'), upstream: registry.url }
  const blobs = Array.from({ length: layers }, (_, n) =>
    buildHugeBlob(`bench ${n}`, Math.round((2 * bytes * (n + 1)) / (layers * (layers + 1)))),
  )
  const config = buildHugeBlob('bench config', 100)
  for (const blob of [config, ...blobs]) registry.addBlob('bench/image', blob)
  const describe = (mediaType: string) => (blob: typeof config) => ({
    mediaType,
    digest: blob.digest,
    size: blob.size,
  })
  const body = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: OCI_MANIFEST,
      config: describe('application/vnd.oci.image.config.v1+json')(config),
      layers: blobs.map(describe('application/vnd.oci.image.layer.v1.tar')),
    }),
  )
  const manifest = { digest: digestOf(body), size: body.length, bytes: body }
  registry.addManifest('bench/image', { ...manifest, mediaType: OCI_MANIFEST }, '1')
  const mirror = await start(side)
  const paths = [config, ...blobs].map(({ digest }) => `blobs/${digest}`)
  for (const path of ['manifests/1', ...paths]) {
    const response = await fetch(`${mirror.url}/v2/bench/image/${path}`)
    await response.body?.pipeTo(new WritableStream())
    if (response.status !== 200) throw new Error(`bench: ${path}: ${response.status}`)
  }
  await mirror.stop()
  await registry.close()
  return side
}

/** The same files, copied and hashed by the system's own tools; ours are on disk when they say so. */
async function baseline(sync: string): Promise<Measured> {
  const copy = join(dir, 'copy')
  const hash = 'find "$1" -type f -print0 | xargs -0 sha256sum'
  const script = ['cp -r "$0" "$1"', ...(sync === '' ? [] : [sync]), hash].join(' && ')
  const measured = await measure('sh', ['-c', script, join(dir, 'from/blobs'), copy])
  await rm(copy, { recursive: true })
  say(`cp${sync === '' ? '' : ', sync'} and sha256sum: ${rateOf(measured)}`)
  return measured
}

function start({ dataDir, upstream }: Side): Promise<MirrorProgram> {
  return startMirror({ dir, dataDir, config: { upstreams: { 'docker.io': { url: upstream } } } })
}

/** One command line, of the mirror that runs at `admin`, or of the directory if none does there. */
async function command(side: Side, admin: string, ...args: readonly string[]): Promise<Measured> {
  const config = join(dir, 'config.json')
  const upstreams = { 'docker.io': { url: side.upstream } }
  await writeFile(config, JSON.stringify({ storage: { minFree: 0 }, upstreams }))
  const script = await startScript()
  return measure(process.execPath, [...script.args, '-c', config, ...args, '--no-progress'], {
    ...script.env,
    OCI_MIRROR_DATA: side.dataDir,
    OCI_MIRROR_ADMIN_LISTEN: admin,
  })
}

async function measure(
  program: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Measured> {
  const began = performance.now()
  const child = spawn(program, args, {
    cwd: ROOT,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  let peak = 0
  const look = async () => {
    // It may have ended meanwhile.
    const status = await readFile(`/proc/${child.pid}/status`, 'utf8').catch(() => '')
    peak = Math.max(peak, Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) * 1024)
  }
  const poll = setInterval(() => void look(), POLL_MS)
  const [code] = (await once(child, 'exit')) as [number | null]
  clearInterval(poll)
  if (code !== 0) throw new Error(`bench: ${program} ${args.join(' ')} ended with ${code}`)
  return { seconds: (performance.now() - began) / 1000, peak }
}

function tell(what: string, measured: Measured, { plain, synced }: Baselines): void {
  const ratio = (other: Measured) => Math.round((other.seconds / measured.seconds) * 100)
  const peak = Math.round(measured.peak / MIB)
  say(`${what}: ${rateOf(measured)}, ${peak} MiB at most`)
  say(`  ${ratio(plain)} % of cp and sha256sum, ${ratio(synced)} % of them with sync`)
}

function rateOf({ seconds }: Measured): string {
  return `${seconds.toFixed(2)} s, ${Math.round(bytes / MIB / seconds)} MiB/s`
}

function say(line: string): void {
  process.stdout.write(`${line}\n`)
}
