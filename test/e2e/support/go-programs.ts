import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { CACHE, fileExists, installStep } from './install-step.ts'
import { runCommand } from './programs.ts'

/** A large one takes minutes on two cores when nothing of it was built before. */
const BUILD_MS = 900_000
const BIN = join(CACHE, 'bin')

interface GoProgram {
  readonly module: string
  /** The program's folder in the module. */
  readonly folder: string
  readonly version: string
  readonly tags?: string
}

const CONTAINERD = {
  module: 'github.com/containerd/containerd/v2',
  version: 'v2.4.2',
  // Snapshotters that need C headers or devices.
  tags: 'no_btrfs,no_devmapper,no_zfs',
} as const

/** What Debian does not have, or has too old; `go install` verifies them by Go's checksum database. */
const PROGRAMS = {
  crane: {
    module: 'github.com/google/go-containerregistry',
    folder: 'cmd/crane',
    version: 'v0.22.1',
  },
  regctl: { module: 'github.com/regclient/regclient', folder: 'cmd/regctl', version: 'v0.11.7' },
  helm: { module: 'helm.sh/helm/v3', folder: 'cmd/helm', version: 'v3.22.0' },
  registry: {
    module: 'github.com/distribution/distribution/v3',
    folder: 'cmd/registry',
    version: 'v3.1.2',
  },
  containerd: { ...CONTAINERD, folder: 'cmd/containerd' },
  ctr: { ...CONTAINERD, folder: 'cmd/ctr' },
} as const satisfies Readonly<Record<string, GoProgram>>

export type GoProgramName = keyof typeof PROGRAMS

/** The path of the program; its file name says which version it is. */
export function goProgram(name: GoProgramName): string {
  return join(BIN, `${name}-${PROGRAMS[name].version}`)
}

/** Names and versions, for people. */
export function goProgramVersions(): readonly (readonly [name: string, version: string])[] {
  return Object.values(PROGRAMS).map(({ module, folder, version }) => {
    return [`${module.replace('github.com/', '')}/${folder}`, version]
  })
}

/** Builds those that are missing, one after another: each build uses all cores that it may. */
export async function installGoPrograms(): Promise<void> {
  for (const name of Object.keys(PROGRAMS)) await installGoProgram(name as GoProgramName)
}

/** Builds one, unless it is there. */
export async function installGoProgram(name: GoProgramName): Promise<void> {
  await mkdir(BIN, { recursive: true })
  const path = goProgram(name)
  if (!(await fileExists(path))) await build(PROGRAMS[name], name, path)
}

async function build(program: GoProgram, name: string, path: string): Promise<void> {
  const { module, folder, version, tags = '' } = program
  const target = `${module}/${folder}@${version}`
  await installStep(`go install ${target}`, 'install Go 1.21 or newer first', async () => {
    const out = await mkdtemp(join(BIN, `${name}-building-`))
    const args = ['install', '-p=2', '-trimpath', '-ldflags=-s -w', `-tags=${tags}`, target]
    // A Go that is older than the module asks for fetches the one that it needs, as a module.
    const env = { ...process.env, GOBIN: out, GOTOOLCHAIN: 'auto' }
    try {
      await runCommand('go', args, { env, timeoutMs: BUILD_MS })
      // Renamed last: the file's name is the proof that this version was built to the end.
      await rename(join(out, name), path)
    } finally {
      await rm(out, { recursive: true })
    }
  })
}
