const END = '\r\n\r\n'

/**
 * Where the body starts, or `undefined` if the head has not ended yet. Throws unless it is a 200 that
 * announces so many bytes.
 */
export function readHead(text: string, size: number): number | undefined {
  const end = text.indexOf(END)
  if (end === -1) return undefined
  const status = /^HTTP\/1\.1 (\d{3})/.exec(text)?.[1]
  if (status !== '200') throw new Error(`the answer was ${text.split('\r\n', 1)[0]}`)
  const length = /\r\ncontent-length: *(\d+)/i.exec(text.slice(0, end))?.[1]
  if (Number(length) !== size) throw new Error(`the answer has ${length} bytes, not ${size}`)
  return end + END.length
}
