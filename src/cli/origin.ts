import type { ListenAddress } from '../config/config.ts'
import { formatListenAddress } from '../config/listen-address.ts'

/** Where this machine finds the mirror that listens there: on loopback if that is every interface. */
export function originOf(listen: ListenAddress): string {
  return `http://${formatListenAddress(reachable(listen))}`
}

function reachable({ host, port }: ListenAddress): ListenAddress {
  if (host === '' || host === '0.0.0.0') return { host: '127.0.0.1', port }
  return host === '::' ? { host: '::1', port } : { host, port }
}
