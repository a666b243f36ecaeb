import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { MirrorProgram } from '../e2e/support/mirror-program.ts'
import { startMirror } from '../e2e/support/mirror-program.ts'
import { FakeRegistry } from '../support/fake-registry.ts'
import { makeTempDir } from '../support/temp-dir.ts'
import { randomFrom } from '../torture/random.ts'
import { runClients } from './clients.ts'
import { judge, summary } from './report.ts'
import { fillRegistry } from './stock.ts'
import { Tally } from './tally.ts'
import { rebuild, watch, wrongFiles } from './watch.ts'
import { rest, WeatherMaker } from './weather.ts'

/**
 * The mirror as its users run it, with every kind of client, an upstream that misbehaves, and a quota a tenth
 * of what is asked for: `npm run soak -- --minutes 10`. The exit code is 1 if a pull failed that must not,
 * a byte was wrong, the disk went over the quota or memory grew.
 */
const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    clients: { type: 'string', default: '10' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
  },
})
const minutes = Number(values.minutes)
const clients = Number(values.clients)
const seed = Number(values.seed)
if (!(minutes > 0) || !(clients >= 1) || !Number.isInteger(seed)) {
  throw new Error('soak: --minutes and --clients have to be above 0, and --seed a whole number')
}

await using dir = await makeTempDir()
await using registry = await FakeRegistry.start()
const data = join(dir.path, 'data')
const stock = fillRegistry(registry)
const quota = Math.floor(stock.bytes / 10)
const mirror = await startMirror({
  dir: dir.path,
  config: {
    upstreams: { 'docker.io': { url: registry.url, tags: { ttl: '5s' } } },
    storage: { dir: data, maxSize: quota, minFree: '0' },
    log: { level: 'warn', format: 'json' },
  },
})
process.stdout.write(`soak: ${minutes} minutes, ${clients} clients, seed ${seed}\n`)

const tally = new Tally()
const random = randomFrom(seed)
const weather = new WeatherMaker(registry, stock, random)
const over = new AbortController()
const { signal } = over
const everything = Promise.all([
  weather.run(signal),
  rebuild(registry, stock, signal),
  watch({ pid: mirror.program.pid, adminUrl: mirror.adminUrl, data, quota, tally }, signal),
  ...Array.from({ length: clients }, () =>
    runClients({ url: mirror.url, stock, tally, weather, random }, signal),
  ),
])
await Promise.race([rest(minutes * 60_000, signal), everything, mirror.program.exited])
over.abort()
await everything
await end(mirror)

async function end({ program, ...running }: MirrorProgram): Promise<void> {
  if (program.isRunning) await running.stop()
  else tally.wrong(`the mirror ended:\n${program.stderr().slice(-2_000)}`)
  for (const path of await wrongFiles(data)) tally.wrong(path)
  const errors = running.logs().filter(({ level }) => level === 'error')
  const verdict = judge(tally)
  const facts = { quota, clients, faults: weather.faults, outages: weather.outages, errors }
  process.stdout.write(summary(tally, facts, verdict))
  process.exitCode = verdict.length === 0 ? 0 : 1
}
