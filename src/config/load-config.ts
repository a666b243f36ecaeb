import { dirname, isAbsolute, relative } from 'node:path'
import type { Config } from './config.ts'
import type { ConfigFile } from './config-file.ts'
import { UnreadableFile } from './config-file.ts'
import { environmentOverrides, environmentProblems, isOffline } from './environment.ts'
import { findProblems } from './find-problems.ts'
import { locateConfig, SYSTEM_DIR } from './locate-config.ts'
import type { Override } from './overrides.ts'
import { applyOverrides, originOf } from './overrides.ts'
import type { Problem } from './problem.ts'
import { ConfigError, formatPath } from './problem.ts'
import { readProxies } from './proxies.ts'
import { readConfigFile } from './read-config-file.ts'
import { resolveConfig } from './resolve-config.ts'
import type { Settings } from './settings.ts'
import { settingsSchema } from './settings.ts'
import { takeOffline } from './take-offline.ts'

export interface LoadOptions {
  /** `-c FILE`: goes before every other place. */
  readonly file?: string | undefined
  readonly env: Readonly<Record<string, string | undefined>>
  readonly cwd: string
  /** From command line flags: they go before the environment, and that before the file. */
  readonly flags?: readonly Override[]
  /** Every upstream is offline, whatever the file says. Default: as the environment says. */
  readonly offline?: boolean
  /** Instead of /etc/oci-mirror. */
  readonly systemDir?: string
}

export interface LoadedConfig {
  readonly config: Config
  /** What the configuration was made of; `config print` tells from it where secrets are kept. */
  readonly settings: Settings
}

const NOTHING: ConfigFile = { path: '', value: {}, lineOf: () => undefined }

/**
 * Finds, reads, checks and completes the configuration. Throws ConfigError with everything that is
 * wrong with it, so that nobody has to mend it one error at a time.
 */
export async function loadConfig(options: LoadOptions): Promise<LoadedConfig> {
  const { env, cwd, systemDir = SYSTEM_DIR } = options
  const source = await locateConfig({ file: options.file, env, cwd, systemDir })
  const { proxies, problems: proxyProblems } = readProxies(env)
  const faults = [...environmentProblems(env), ...proxyProblems]
  const file = source === undefined ? NOTHING : await readOrReport(source, cwd, faults)
  const overrides = [...environmentOverrides(env), ...(options.flags ?? [])]
  const given = applyOverrides(file.value, overrides)
  const input = (options.offline ?? isOffline(env)) ? takeOffline(given) : given
  const place = { env, dir: source === undefined ? cwd : dirname(source) }
  for (const problem of inFileOrder(await findProblems(input, place), file)) {
    faults.push(toLine(problem, file, overrides, cwd))
  }
  if (faults.length > 0) throw new ConfigError(faults)
  const settings = settingsSchema.parse(input)
  return { config: await resolveConfig(settings, { source, cwd, place, proxies }), settings }
}

/** A file that cannot be read is one fault; the variables and flags are checked all the same. */
async function readOrReport(path: string, cwd: string, faults: string[]): Promise<ConfigFile> {
  try {
    return await readConfigFile(path)
  } catch (error) {
    if (!(error instanceof UnreadableFile)) throw error
    const place = error.line === undefined ? '' : `:${error.line}`
    faults.push(`${displayPath(path, cwd)}${place}: ${error.message}`)
    return NOTHING
  }
}

/** By line, where lines are known; the sort is stable, so that others stay in the order of the checks. */
function inFileOrder(problems: readonly Problem[], file: ConfigFile): readonly Problem[] {
  return problems.toSorted((a, b) => (file.lineOf(a.path) ?? 0) - (file.lineOf(b.path) ?? 0))
}

/** `mirror.config.yaml:3: server.listen: expected …`, or the name of the variable or flag instead. */
function toLine(
  problem: Problem,
  file: ConfigFile,
  overrides: readonly Override[],
  cwd: string,
): string {
  const origin = originOf(problem, overrides)
  if (origin !== undefined) return `${origin}: ${problem.message}`
  const line = file.lineOf(problem.path)
  const parts = [
    file.path === ''
      ? 'defaults'
      : displayPath(file.path, cwd) + (line === undefined ? '' : `:${line}`),
    formatPath(problem.path),
    problem.message,
  ]
  return parts.filter((part) => part !== '').join(': ')
}

/** As short as it can be without leading elsewhere. */
export function displayPath(path: string, cwd: string): string {
  const short = relative(cwd, path)
  return short === '' || short.startsWith('..') || isAbsolute(short) ? path : short
}
