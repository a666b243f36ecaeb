import { stat } from 'node:fs/promises'
import { extname } from 'node:path'
import type { ConfigFile } from './config-file.ts'
import { UnreadableFile } from './config-file.ts'
import { describeFileError } from '../core/describe-file-error.ts'
import { CONFIG_EXTENSIONS } from './locate-config.ts'
import { readCode } from './read-code.ts'
import { readYamlOrJson } from './read-yaml.ts'

/** Reads a file in the format that its name says. Throws UnreadableFile. */
export async function readConfigFile(path: string): Promise<ConfigFile> {
  const extension = extname(path)
  try {
    const info = await stat(path)
    if (info.isDirectory()) throw new UnreadableFile('is a directory, not a configuration file')
    if (['.json', '.yaml', '.yml'].includes(extension)) return await readYamlOrJson(path)
    if (['.ts', '.mts', '.js', '.mjs'].includes(extension)) return await readCode(path)
  } catch (cause) {
    if (cause instanceof UnreadableFile) throw cause
    throw new UnreadableFile(`cannot be read: ${describeFileError(cause)}`, { cause })
  }
  const known = CONFIG_EXTENSIONS.join(', ')
  throw new UnreadableFile(`has a name that tells no format: expected one of ${known} at its end`)
}
