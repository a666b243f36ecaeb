const WORDS: ReadonlyMap<string, string> = new Map([
  ['ENOENT', 'there is no such file'],
  ['ENOTDIR', 'there is no such file'],
  ['EACCES', 'permission denied'],
  ['EPERM', 'permission denied'],
  ['EISDIR', 'it is a directory'],
  ['ELOOP', 'it is a loop of symbolic links'],
])

/** What a failed file operation means, in words; for those that we do not know, in the system's. */
export function describeFileError(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  return WORDS.get(code) ?? (error instanceof Error ? error.message : String(error))
}
