import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { answers, freePort, Program, runCommand } from './programs.ts'

const ROOT = join(import.meta.dirname, '../../..')

/** As in a configuration file; `server`, `admin` and what `storage` lacks are filled in. */
export interface MirrorConfig {
  readonly defaultUpstream?: string
  readonly upstreams: Readonly<Record<string, object>>
  readonly log?: object
  readonly storage?: object
  readonly warm?: object
}

interface MirrorOptions {
  /** Where the configuration file goes. */
  readonly dir: string
  /** Default: `data` in `dir`. */
  readonly dataDir?: string
  /** Default: a free one. */
  readonly port?: number
  readonly config: MirrorConfig
  /** Besides the configuration, such as `--offline`. */
  readonly flags?: readonly string[]
  /** A command that becomes the program that it is given, as `nice` does. */
  readonly under?: readonly string[]
}

/** The program as its users run it, in a process of its own. */
export interface MirrorProgram {
  readonly program: Program
  /** Its configuration file. */
  readonly file: string
  readonly port: number
  /** `127.0.0.1:PORT` */
  readonly host: string
  readonly url: string
  /** Of the admin listener. */
  readonly adminUrl: string
  /** Its log: one JSON object a line. */
  logs(): readonly Readonly<Record<string, unknown>>[]
  /** Runs `oci-mirror …` with the same configuration; answers what it prints. */
  command(...args: readonly string[]): Promise<string>
  /** The most memory that was ever resident, in bytes. */
  peakMemory(): Promise<number>
  /** Ends it with SIGTERM, and fails unless that was clean. */
  stop(): Promise<void>
}

/** Starts it and waits until it is ready. */
export async function startMirror(options: MirrorOptions): Promise<MirrorProgram> {
  const mirror = await launchMirror(options)
  await mirror.program.ready(() => answers(`${mirror.url}/readyz`, [200]))
  return mirror
}

/** Starts it and waits for nothing: for those that are meant to fail. */
export async function launchMirror(options: MirrorOptions): Promise<MirrorProgram> {
  const { dir, dataDir = join(dir, 'data'), port = await freePort(), config } = options
  const { flags = [], under = [] } = options
  const file = join(dir, `mirror-${port}.json`)
  const host = `127.0.0.1:${port}`
  const adminPort = await freePort()
  await writeFile(
    file,
    JSON.stringify({
      server: { listen: host },
      admin: { listen: `127.0.0.1:${adminPort}` },
      log: { level: 'info', format: 'json' },
      ...config,
      // The machine's disk may be nearly full: that is another test's business.
      storage: { dir: dataDir, minFree: '0', ...config.storage },
    }),
  )
  const script = await startScript()
  const env = { ...cleanEnvironment(), ...script.env }
  const words = [process.execPath, ...script.args, 'serve', '-c', file, ...flags]
  const [command = process.execPath, ...args] = [...under, ...words]
  const program = Program.start(command, args, { cwd: ROOT, env })
  return {
    program,
    file,
    port,
    host,
    url: `http://${host}`,
    adminUrl: `http://127.0.0.1:${adminPort}`,
    command: (...args) =>
      runCommand(process.execPath, [...script.args, '-c', file, ...args], { cwd: ROOT, env }),
    logs: () => jsonLines(program.stdout()),
    peakMemory: () => peakMemory(program.pid),
    stop: async () => {
      const exit = await program.stop()
      if (exit.code !== 0) throw new Error(`mirror: ${JSON.stringify(exit)}\n${program.stderr()}`)
    },
  }
}

/** `oci-mirror …` in a process of its own, for commands that take their time or are to be killed. */
export async function mirrorCommand(args: readonly string[]): Promise<Program> {
  const script = await startScript()
  const env = { ...cleanEnvironment(), ...script.env }
  return Program.start(process.execPath, [...script.args, ...args], { cwd: ROOT, env })
}

const FOREIGN = /^(OCI_MIRROR_.*|NODE_OPTIONS|VITEST.*|.*_proxy)$/i

/** Without what would configure the mirror behind the test's back. */
function cleanEnvironment(): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !FOREIGN.test(name))
  return Object.fromEntries(kept)
}

/** What `npm run oci-mirror` runs, without npm in between: `NAME=value … node --flag … src/main.ts`. */
export async function startScript(): Promise<{
  args: readonly string[]
  env: Record<string, string>
}> {
  const manifest: unknown = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8'))
  const { scripts } = manifest as { scripts: { 'oci-mirror': string } }
  const words = scripts['oci-mirror'].split(' ')
  const node = words.indexOf('node')
  const env = Object.fromEntries(words.slice(0, node).map((word) => word.split('=')))
  return { args: words.slice(node + 1), env }
}

function jsonLines(text: string): Readonly<Record<string, unknown>>[] {
  return text
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as Readonly<Record<string, unknown>>)
}

/** proc(5): VmHWM, "peak resident set size", in kB. */
async function peakMemory(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  const [, kibibytes] = /^VmHWM:\s+(\d+) kB$/m.exec(status) ?? []
  if (kibibytes === undefined) throw new Error(`/proc/${pid}/status has no VmHWM`)
  return Number(kibibytes) * 1024
}
