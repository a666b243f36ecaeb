import type { Reading } from './reading.ts'
import { expected, read } from './reading.ts'

const SEGMENTS = /^(?:\/[a-zA-Z0-9_~-][a-zA-Z0-9._~-]*)+$/
const MAX_LENGTH = 200

/** `''`, or `/prefix` without a slash at its end. */
export function readBasePath(text: string): Reading<string> {
  if (text === '') return read(text)
  if (text.length > MAX_LENGTH || !SEGMENTS.test(text)) {
    return expected('a path such as "/mirror", with a "/" before it and none after it')
  }
  // The first `/v2` of a request has to be the one where the registry API begins.
  if (text.split('/').includes('v2')) {
    return expected('a path without "v2": clients add "/v2" after it')
  }
  return read(text)
}
