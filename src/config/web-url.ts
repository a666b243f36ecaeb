import type { Reading } from './reading.ts'
import { expected, read } from './reading.ts'

/** Where a registry answers: a path, if there is one, stands in front of `/v2`. */
export function readRegistryUrl(text: string): Reading<URL> {
  const reading = readWebUrl(text, 'https://registry.example.com')
  if ('value' in reading && /(?:^|\/)v2\/*$/.test(reading.value.pathname)) {
    return expected('a URL without "/v2" at its end: the mirror adds it')
  }
  return reading
}

/** How clients reach the mirror. */
export function readPublicUrl(text: string): Reading<URL> {
  return readWebUrl(text, 'https://mirror.example.com')
}

function readWebUrl(text: string, example: string): Reading<URL> {
  const url = URL.parse(text)
  const isWeb = url?.protocol === 'http:' || url?.protocol === 'https:'
  if (url === null || !isWeb || !text.includes('://')) {
    return expected(`a URL with http:// or https:// such as "${example}"`)
  }
  if (url.username !== '' || url.password !== '') {
    return expected('a URL without user and password')
  }
  // Looked for in the text: a URL object does not tell `https://host/?` from `https://host/`.
  if (text.includes('?') || text.includes('#')) return expected('a URL without "?" and "#"')
  return read(url)
}
