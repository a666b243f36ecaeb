import type { Path } from './problem.ts'

/** A configuration file that has been read but not checked. */
export interface ConfigFile {
  readonly path: string
  readonly value: unknown
  /** The line, from 1, on which the key at `path` stands, where the format can tell. */
  readonly lineOf: (path: Path) => number | undefined
}

/** A file that cannot be read at all. `line` counts from 1. */
export class UnreadableFile extends Error {
  override readonly name = 'UnreadableFile'
  readonly line: number | undefined

  constructor(
    message: string,
    options: { readonly line?: number | undefined; cause?: unknown } = {},
  ) {
    super(message, { cause: options.cause })
    this.line = options.line
  }
}
