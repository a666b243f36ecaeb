import type { HttpBindings } from '@hono/node-server'
import type { Log } from '../core/log.ts'
import type { Operations } from '../core/operations.ts'

export interface AdminDeps {
  readonly operations: Operations
  /** In Prometheus' text format. */
  readonly metrics: () => Promise<{ readonly contentType: string; readonly body: string }>
  /** Absolute path of the data directory, so that a command knows that it found the right mirror. */
  readonly data: string
  /** Host names by which it may be asked, besides addresses and localhost. Lower case, no port. */
  readonly names: ReadonlySet<string>
  readonly log: Log
}

export interface AdminEnv {
  readonly Bindings: HttpBindings
}
