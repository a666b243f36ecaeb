import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { LoadedConfig, LoadOptions } from '../../src/config/load-config.ts'
import { loadConfig } from '../../src/config/load-config.ts'
import { ConfigError } from '../../src/config/problem.ts'
import { makeTempDir } from '../support/temp-dir.ts'

type Options = Partial<LoadOptions>

/** Loads the input as `mirror.config.json`, on one line, in a directory of its own. */
export async function load(input: object, options: Options = {}): Promise<LoadedConfig> {
  await using dir = await makeTempDir()
  await writeFile(join(dir.path, 'mirror.config.json'), JSON.stringify(input))
  return await loadConfig({ env: {}, cwd: dir.path, systemDir: dir.path, ...options })
}

/** What is wrong with the input, without the `mirror.config.json:1: ` that every line begins with. */
export async function problemsOf(input: object, options: Options = {}): Promise<readonly string[]> {
  const lines = await linesOf(() => load(input, options))
  return lines.map((line) => line.replace(/^mirror\.config\.json(?::1)?: /, ''))
}

/** The lines of the ConfigError that `attempt` ends in; none if it succeeds. */
export async function linesOf(attempt: () => Promise<unknown>): Promise<readonly string[]> {
  try {
    await attempt()
    return []
  } catch (error) {
    if (error instanceof ConfigError) return error.problems
    throw error
  }
}
