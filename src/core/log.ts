import type { Repository } from '../oci/reference.ts'

/** What `core/` needs of a logger; pino's shape, so that it can be handed in as it is. */
export interface Log {
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

/** A repository's fields in a line of the log. */
export function about({ upstream, name }: Repository): {
  readonly upstream: string
  readonly repository: string
} {
  return { upstream, repository: name }
}
