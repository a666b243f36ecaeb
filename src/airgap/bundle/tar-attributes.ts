import { BundleError } from './bundle-error.ts'

/** What a PAX header says of the entry that follows, as far as it matters here. */
export interface TarAttributes {
  readonly path?: string
  readonly size?: number
  readonly linkpath?: string
}

const decoder = new TextDecoder('utf-8', { fatal: true })

/**
 * POSIX pax: records of `LENGTH KEY=VALUE\n`, where the length is that of the whole record. Readers that differ
 * in what they make of a wrong one see different entries, so a wrong one is refused. Throws BundleError.
 */
export function parseTarAttributes(bytes: Uint8Array): TarAttributes {
  const found = new Map<string, string>()
  for (let offset = 0; offset < bytes.length;) {
    const space = bytes.indexOf(32, offset)
    const digits = space < 0 ? '' : text(bytes.subarray(offset, space))
    const end = offset + Number(digits)
    if (!/^[1-9][0-9]{0,6}$/.test(digits) || end > bytes.length || bytes[end - 1] !== 10) {
      throw refused('have a record of the wrong length')
    }
    const record = text(bytes.subarray(space + 1, end - 1))
    const equals = record.indexOf('=')
    if (equals < 1) throw refused('have a record without a name')
    const key = record.slice(0, equals)
    if (key.startsWith('GNU.sparse.')) throw refused('are those of a sparse file')
    if (found.has(key)) throw refused(`say ${JSON.stringify(key)} twice`)
    found.set(key, record.slice(equals + 1))
    offset = end
  }
  const path = nameOf(found, 'path')
  const linkpath = nameOf(found, 'linkpath')
  const size = found.get('size')
  if (size !== undefined && !(/^[0-9]{1,16}$/.test(size) && Number.isSafeInteger(Number(size)))) {
    throw refused('state a size that is none')
  }
  return {
    ...(path !== undefined && { path }),
    ...(linkpath !== undefined && { linkpath }),
    ...(size !== undefined && { size: Number(size) }),
  }
}

function nameOf(found: ReadonlyMap<string, string>, key: string): string | undefined {
  const name = found.get(key)
  if (name?.includes('\0') === true) throw refused('have a name with a zero byte')
  return name
}

function text(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes)
  } catch (cause) {
    throw new BundleError('refused', 'the attributes of an entry are not UTF-8', { cause })
  }
}

function refused(what: string): BundleError {
  return new BundleError('refused', `the attributes of an entry ${what}`)
}
