import type { Mirror } from '../core/mirror.ts'
import type { WriteTurns } from './write-turns.ts'

/** What every answer about content needs. */
export interface RouteOptions {
  readonly mirror: Mirror
  readonly turns: WriteTurns
}
