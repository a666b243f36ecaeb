import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { describeFileError } from '../core/describe-file-error.ts'

/** A secret itself, or where it is kept. What `env()` and `file()` return, and what YAML and JSON write. */
export type Secret = string | { readonly env: string } | { readonly file: string }

export interface SecretPlace {
  readonly env: Readonly<Record<string, string | undefined>>
  /** What relative paths are relative to. */
  readonly dir: string
}

/**
 * The secret as it is now: files are read each time, because they are rotated under a running mirror.
 * Throws an Error whose message says where it looked and what it found, and never what it read.
 */
export async function readSecret(secret: Secret, place: SecretPlace): Promise<string> {
  if (typeof secret === 'string') return checked(secret, 'the text')
  if ('env' in secret)
    return checked(place.env[secret.env], `the environment variable ${secret.env}`)
  const path = resolve(place.dir, secret.file)
  return checked(await readText(path), path)
}

/** The text of a file that holds secrets. Throws an Error whose message says what the system found. */
export async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (cause) {
    throw new Error(`cannot read ${path}: ${describeFileError(cause)}`, { cause })
  }
}

function checked(text: string | undefined, where: string): string {
  if (text === undefined) throw new Error(`${where} is not set`)
  const secret = text.replace(/\r?\n$/, '')
  if (secret === '') throw new Error(`${where} is empty`)
  // It goes into a header, where a line break would begin another one.
  if (/[\r\n\0]/.test(secret)) throw new Error(`${where} has more than one line`)
  return secret
}
