import { stat } from 'node:fs/promises'

/** Whether there is a file or directory. */
export async function isThere(path: string): Promise<boolean> {
  try {
    await stat(path)
    return true
  } catch {
    // Whatever is in the way of it, it is none that can be read.
    return false
  }
}
