import { access } from 'node:fs/promises'
import { join, resolve } from 'node:path'

export const CONFIG_EXTENSIONS = ['.ts', '.mts', '.js', '.mjs', '.json', '.yaml', '.yml'] as const

export const SYSTEM_DIR = '/etc/oci-mirror'

export interface Search {
  /** `-c FILE`. */
  readonly file: string | undefined
  readonly env: Readonly<Record<string, string | undefined>>
  readonly cwd: string
  readonly systemDir: string
}

/**
 * The file to load: the one that is named by `-c`, else by `OCI_MIRROR_CONFIG`, else the first
 * `mirror.config.*` of the working directory, else of `/etc/oci-mirror`. `undefined` if there is none.
 * A file that was named is returned whether it exists or not: nothing else may stand in for it.
 */
export async function locateConfig(search: Search): Promise<string | undefined> {
  const named = search.file ?? (search.env['OCI_MIRROR_CONFIG'] || undefined)
  if (named !== undefined) return resolve(search.cwd, named)
  for (const dir of [search.cwd, search.systemDir]) {
    for (const extension of CONFIG_EXTENSIONS) {
      const candidate = join(dir, `mirror.config${extension}`)
      if (await exists(candidate)) return candidate
    }
  }
  return undefined
}

async function exists(path: string): Promise<boolean> {
  try {
    await access(path)
    return true
  } catch (error) {
    // Only a plain absence leads on to the next candidate; one that is there and closed is an error later.
    return !(error instanceof Error && 'code' in error && error.code === 'ENOENT')
  }
}
