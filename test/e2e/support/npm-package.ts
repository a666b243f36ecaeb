import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { rootCertificates } from 'node:tls'
import { CACHE, fileExists, installStep } from './install-step.ts'
import { runCommand } from './programs.ts'

/** Fetching over a slow line is no failure. */
const INSTALL_MS = 300_000

export const NPM_VERSION = '11.19.1'
const INSTALLED = join(CACHE, `npm-${NPM_VERSION}`)

/** npm with all that it needs. The machine's own one may be spread over the system, as Debian's is. */
export const NPM_PACKAGE = join(INSTALLED, 'node_modules/npm')

export async function installNpm(): Promise<void> {
  if (await fileExists(INSTALLED)) return
  const target = `npm@${NPM_VERSION}`
  await installStep(`npm install ${target}`, 'it is fetched once', async () => {
    await mkdir(CACHE, { recursive: true })
    const dir = await mkdtemp(`${INSTALLED}-installing-`)
    const args = ['install', '--no-save', '--ignore-scripts', '--prefix', dir, target]
    try {
      await runCommand('npm', args, { timeoutMs: INSTALL_MS })
      await rename(dir, INSTALLED)
    } catch (error) {
      await rm(dir, { recursive: true })
      throw error
    }
  })
}

/** What a build is given so that its npm reaches the registry as this machine's does: never part of an image. */
export interface NpmAccess {
  /** A settings file. */
  readonly npmrc: string
  /** `FROM:TO[:ro]`. */
  readonly mounts: readonly string[]
}

const MOUNTED_CA = '/run/npm-ca.pem'

export async function writeNpmAccess(dir: string): Promise<NpmAccess> {
  const { registry, cafile, cache, userconfig } = await npmSettings()
  const own = await readIfThere(userconfig)
  // What was fetched once is not asked for again: with a slow registry that is minutes.
  const settings = [own, `registry=${registry}`, 'prefer-offline=true']
  const mounts = [`${cache}:/root/.npm`]
  const extra = await readAll([cafile, process.env['NODE_EXTRA_CA_CERTS']])
  if (extra !== '') {
    const bundle = join(dir, 'npm-ca.pem')
    await writeFile(bundle, [...rootCertificates, extra].join('\n'))
    settings.push(`cafile=${MOUNTED_CA}`)
    mounts.push(`${bundle}:${MOUNTED_CA}:ro`)
  }
  const npmrc = join(dir, 'npmrc')
  await writeFile(npmrc, `${settings.join('\n')}\n`, { mode: 0o600 })
  return { npmrc, mounts }
}

/** From wherever npm has them: files, environment, defaults. One that is not set is `null`, in letters. */
async function npmSettings() {
  const names = ['registry', 'cafile', 'cache', 'userconfig'] as const
  const printed = await runCommand('npm', ['config', 'get', ...names])
  const pairs = printed
    .trim()
    .split('\n')
    .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)])
  return Object.fromEntries(pairs) as Readonly<Record<(typeof names)[number], string>>
}

/** The certificates that this machine's npm trusts besides those of Node: by its settings, or by the environment. */
async function readAll(paths: readonly (string | undefined)[]): Promise<string> {
  const named = paths.flatMap((path) => (path === undefined || path === 'null' ? [] : [path]))
  const texts = await Promise.all(named.map((path) => readIfThere(path)))
  return texts.join('\n').trim()
}

async function readIfThere(path: string): Promise<string> {
  return (await fileExists(path)) ? readFile(path, 'utf8') : ''
}
