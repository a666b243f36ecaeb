import { BundleError } from '../bundle/bundle-error.ts'

/** Puts the file's name in front of what is wrong with it. */
export async function inFile<T>(name: string, task: () => Promise<T>): Promise<T> {
  try {
    return await task()
  } catch (cause) {
    if (!(cause instanceof BundleError) || cause.message.startsWith(`${name}: `)) throw cause
    throw new BundleError(cause.problem, `${name}: ${cause.message}`, { cause })
  }
}
