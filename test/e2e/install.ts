import { execFile } from 'node:child_process'
import { access, mkdir, rm, writeFile } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

const ROOT = join(import.meta.dirname, '../..')
const BIN = join(ROOT, '.cache/bin')
const POLICY = '/usr/sbin/policy-rc.d'

/** Each program, and the Debian package that has it. */
const DEBIAN = {
  'docker-registry': 'docker-registry',
  containerd: 'containerd',
  ctr: 'containerd',
  runc: 'runc',
  skopeo: 'skopeo',
} as const

const CRANE_VERSION = 'v0.22.1'
const CRANE_MODULE = 'github.com/google/go-containerregistry/cmd/crane'

/** Where to find crane. The others are on the PATH. */
export const CRANE = join(BIN, `crane-${CRANE_VERSION}`)

/**
 * Installs the real registries and clients that the tests drive, unless they are there. A program that
 * cannot be had fails the run: a skipped client would look like a client that works.
 */
export async function install(): Promise<void> {
  await installDebianPackages()
  await installCrane()
}

async function installDebianPackages(): Promise<void> {
  const missing = new Set<string>()
  for (const [program, name] of Object.entries(DEBIAN)) {
    if (!(await isOnPath(program))) missing.add(name)
  }
  if (missing.size === 0) return
  const names = [...missing]
  await step(`apt-get install ${names.join(' ')}`, 'run it as root, once', () =>
    withoutServices(() => aptInstall(names)),
  )
}

async function aptInstall(names: readonly string[]): Promise<void> {
  const install = () => apt('install', '--yes', '--no-install-recommends', ...names)
  try {
    await install()
  } catch {
    // A machine whose package lists were never fetched, or are too old: fetch them and try once more.
    await apt('update')
    await install()
  }
}

async function apt(...args: readonly string[]): Promise<void> {
  await run('apt-get', args, {
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    maxBuffer: 64 * 1024 * 1024,
  })
}

/** Debian starts what it installs, unless policy-rc.d answers 101 ("forbidden by policy"). */
async function withoutServices(work: () => Promise<void>): Promise<void> {
  if (await exists(POLICY)) return work()
  await writeFile(POLICY, '#!/bin/sh\nexit 101\n', { mode: 0o755 })
  try {
    await work()
  } finally {
    await rm(POLICY)
  }
}

async function installCrane(): Promise<void> {
  if (await exists(CRANE)) return
  await step(`go install ${CRANE_MODULE}@${CRANE_VERSION}`, 'install Go first', async () => {
    await mkdir(BIN, { recursive: true })
    const env = { ...process.env, GOBIN: BIN }
    await run('go', ['install', `${CRANE_MODULE}@${CRANE_VERSION}`], { env })
    // Renamed last: the file's name is the proof that this version was built to the end.
    await run('mv', [join(BIN, 'crane'), CRANE])
  })
}

async function step(command: string, remedy: string, work: () => Promise<void>): Promise<void> {
  process.stdout.write(`e2e: ${command}\n`)
  try {
    await work()
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new Error(`The end-to-end tests need "${command}" (${remedy}): ${reason}`, { cause })
  }
}

async function isOnPath(program: string): Promise<boolean> {
  const folders = (process.env['PATH'] ?? '').split(delimiter)
  const found = await Promise.all(folders.map((folder) => exists(join(folder, program))))
  return found.includes(true)
}

async function exists(path: string): Promise<boolean> {
  try {
    await access(path)
    return true
  } catch {
    // Absent is an answer here.
    return false
  }
}
