/** One part of a `multipart/byteranges` body. */
export interface Part {
  /** `bytes 0-9/100` */
  readonly range: string
  readonly body: Buffer
}

/**
 * Reads a `multipart/byteranges` body as strictly as Go's mime/multipart does, which containers/image and
 * stargz read it with. Throws when anything is not where it has to be.
 */
export function readParts(contentType: string | null | undefined, body: Buffer): readonly Part[] {
  const boundary = /^multipart\/byteranges; boundary=(\S{1,70})$/.exec(contentType ?? '')?.[1]
  if (boundary === undefined) throw new Error(`no multipart/byteranges, but ${contentType}`)
  const parts: Part[] = []
  let at = 0
  const take = (length: number): Buffer => body.subarray(at, (at += length))
  const expect = (wanted: string): void => {
    const found = take(wanted.length).toString('latin1')
    if (found !== wanted) throw new Error(`${JSON.stringify(found)} instead of ${wanted} at ${at}`)
  }
  expect(`--${boundary}`)
  while (body.toString('latin1', at, at + 2) !== '--') {
    expect('\r\n')
    const head = take(body.indexOf('\r\n\r\n', at) - at).toString('latin1')
    expect('\r\n\r\n')
    const [, range = '', first, last] =
      /^Content-Range: (bytes (\d+)-(\d+)\/\d+)$/m.exec(head) ?? []
    parts.push({ range, body: take(Number(last) - Number(first) + 1) })
    expect(`\r\n--${boundary}`)
  }
  expect('--\r\n')
  if (at !== body.length) throw new Error(`${body.length - at} bytes after the end`)
  return parts
}
