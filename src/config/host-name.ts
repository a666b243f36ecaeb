import { parseUpstreamName } from '../oci/reference.ts'
import type { Reading } from './reading.ts'
import { expected, read } from './reading.ts'

const PORT = /^:(\d{1,5})$/

export const HOST_FORMS = 'a host name such as "mirror.example.com" or "mirror.example.com:5000"'

/** `host` or `host:port`: lower case, without the port that https implies. */
export function readHost(text: string): Reading<string> {
  // The grammar is that of upstream names, but Docker Hub's hosts stay apart: these are hosts, not names.
  return parseUpstreamName(text) === undefined ? expected(HOST_FORMS) : read(withoutPort443(text))
}

/** Like `readHost`, or `:port` for whatever arrives at that port. */
export function readHostOrPort(text: string): Reading<string> {
  const port = PORT.exec(text)?.[1]
  if (port === undefined) return readHost(text)
  return Number(port) > 0 && Number(port) <= 65_535 ? read(text) : expected('a port up to 65535')
}

function withoutPort443(text: string): string {
  return text.toLowerCase().replace(/:443$/, '')
}
