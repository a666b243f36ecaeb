import { rm, writeFile } from 'node:fs/promises'
import { delimiter, isAbsolute, join } from 'node:path'
import { fileExists, installStep } from './install-step.ts'
import { runCommand } from './programs.ts'

/** Fetching packages over a slow line is no failure. */
const INSTALL_MS = 600_000
const POLICY = '/usr/sbin/policy-rc.d'

/** Debian's own command, where the machine may have another one on the PATH. */
export const DOCKER = '/usr/bin/docker'

/** A shell and the commands around it in one file, which needs no library. */
export const BUSYBOX = '/bin/busybox'

/** What has to be there, and the Debian package that has it. */
const PACKAGES = {
  'docker-registry': 'docker-registry',
  containerd: 'containerd',
  ctr: 'containerd',
  runc: 'runc',
  dockerd: 'docker.io',
  [DOCKER]: 'docker.io',
  podman: 'podman',
  buildah: 'buildah',
  skopeo: 'skopeo',
  [BUSYBOX]: 'busybox-static',
  strace: 'strace',
  curl: 'curl',
} as const

export async function installDebianPackages(): Promise<void> {
  const missing = new Set<string>()
  for (const [program, name] of Object.entries(PACKAGES)) {
    if (!(await isInstalled(program))) missing.add(name)
  }
  if (missing.size > 0) await aptInstall([...missing])
}

/** Installs one whose package has the program's name, unless it is there. */
export async function ensureDebianPackage(name: string): Promise<void> {
  if (!(await isInstalled(name))) await aptInstall([name])
}

/** Names and versions of the packages that are installed. */
export async function debianVersions(): Promise<
  readonly (readonly [name: string, version: string])[]
> {
  const names = [...new Set(Object.values(PACKAGES))].toSorted()
  const format = '${db:Status-Abbrev}\\t${Package}\\t${Version}\\n'
  const printed = await runCommand('dpkg-query', ['--show', `--showformat=${format}`, ...names])
  const lines = printed.split('\n').map((line) => line.split('\t'))
  return lines.flatMap(([status = '', name = '', version = '']) =>
    status.startsWith('ii') ? [[name, version] as const] : [],
  )
}

/** Installs packages by name, without starting what they bring. Has to be root. */
export async function aptInstall(names: readonly string[]): Promise<void> {
  const install = () => apt('install', '--yes', '--no-install-recommends', ...names)
  await installStep(`apt-get install ${names.join(' ')}`, 'run it as root, once', () =>
    withoutServices(async () => {
      try {
        await install()
      } catch {
        // A machine whose package lists were never fetched, or are too old: fetch them and try once more.
        await apt('update')
        await install()
      }
    }),
  )
}

async function apt(...args: readonly string[]): Promise<void> {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  await runCommand('apt-get', args, { env, timeoutMs: INSTALL_MS })
}

/** Debian starts what it installs, unless policy-rc.d answers 101 ("forbidden by policy"). */
async function withoutServices(work: () => Promise<void>): Promise<void> {
  if (await fileExists(POLICY)) return work()
  await writeFile(POLICY, '#!/bin/sh\nexit 101\n', { mode: 0o755 })
  try {
    await work()
  } finally {
    await rm(POLICY)
  }
}

async function isInstalled(program: string): Promise<boolean> {
  if (isAbsolute(program)) return fileExists(program)
  const folders = (process.env['PATH'] ?? '').split(delimiter)
  const found = await Promise.all(folders.map((folder) => fileExists(join(folder, program))))
  return found.includes(true)
}
