import { randomUUID } from 'node:crypto'
import { rename, rm, writeFile } from 'node:fs/promises'
import { describeFileError } from '../core/describe-file-error.ts'
import { StartError } from '../core/start-error.ts'

/** Writes the file whole, or leaves what was there. Throws StartError. */
export async function replaceFile(path: string, text: string): Promise<void> {
  const temporary = `${path}.${randomUUID().slice(0, 8)}.tmp`
  try {
    await writeFile(temporary, text)
    await rename(temporary, path)
  } catch (cause) {
    await rm(temporary, { force: true })
    throw new StartError(`${path} cannot be written: ${describeFileError(cause)}`, { cause })
  }
}
