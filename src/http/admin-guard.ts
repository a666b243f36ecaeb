import type { IncomingMessage } from 'node:http'
import { isIP } from 'node:net'
import { MaintenanceError } from '../core/maintenance/maintenance-error.ts'
import { RegistryError } from '../oci/registry-error.ts'
import { parseRequestHost } from './request-host.ts'
import { readRequestTarget } from './request-target.ts'

/** Why a request is not let in. */
export class AdminRefusal extends Error {
  override readonly name = 'AdminRefusal'
  readonly status: 403 | 415

  constructor(status: 403 | 415, message: string) {
    super(message)
    this.status = status
  }
}

/**
 * A page on the web can make a browser on this machine send requests here, by a name of its own that it
 * lets point to 127.0.0.1. Such a request carries that name: only addresses and the names of this mirror
 * are let in. Throws AdminRefusal, or MaintenanceError for what is no host at all.
 */
export function checkHost(incoming: IncomingMessage, names: ReadonlySet<string>): void {
  const name = readHost(readRequestTarget(incoming).host)
  if (name === 'localhost' || names.has(name)) return
  if (isIP(name.replace(/^\[|\]$/g, '')) !== 0) return
  throw new AdminRefusal(
    403,
    `the Host header names ${JSON.stringify(name)}, which is no name of this mirror: use its address, or add the name to server.names`,
  )
}

/**
 * Nor can such a page change anything by a form: JSON from another origin needs a permission (CORS) that
 * nobody is given here. Throws AdminRefusal.
 */
export function checkMutation({ method, headers }: IncomingMessage): void {
  const type = (headers['content-type'] ?? '').split(';')[0]?.trim().toLowerCase()
  // Nor can it send a header of its own, and nothing by PUT.
  const isOwn = method === 'PUT' && headers['oci-mirror-import'] !== undefined
  if (type === 'application/octet-stream' && isOwn) return
  if (type !== 'application/json') {
    throw new AdminRefusal(415, 'changes are asked for with Content-Type: application/json')
  }
}

/** Looking is work as well, of which a page could ask without end by the addresses of images. Throws AdminRefusal. */
export function checkSite({ headers }: IncomingMessage): void {
  if (headers['sec-fetch-site'] !== 'cross-site') return
  throw new AdminRefusal(403, 'a page of another site sent this request')
}

function readHost(values: readonly string[]): string {
  try {
    return parseRequestHost(values)?.name ?? ''
  } catch (reason) {
    if (!(reason instanceof RegistryError)) throw reason
    throw new MaintenanceError('invalid', reason.message)
  }
}
