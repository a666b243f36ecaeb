/** What is no text. `message` says what it is instead. */
export class NoText extends Error {
  override readonly name = 'NoText'
}

/**
 * Bytes become text piece by piece: UTF-8, or UTF-16 with its mark, as PowerShell writes it. Marks are left
 * out. Throws NoText for NUL and for what is neither.
 */
export async function* decodeText(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  let decoder: InstanceType<typeof TextDecoder> | undefined
  try {
    for await (const chunk of chunks) {
      decoder ??= new TextDecoder(encodingOf(chunk), { fatal: true })
      // Before it is decoded: what is binary is rarely UTF-8, either, and that would say less.
      if (decoder.encoding === 'utf-8' && chunk.includes(0)) throw new NoText('it is binary')
      yield decoder.decode(chunk, { stream: true })
    }
    if (decoder !== undefined) yield decoder.decode()
  } catch (error) {
    if (error instanceof TypeError) throw new NoText('it is no UTF-8 text', { cause: error })
    throw error
  }
}

function encodingOf([first, second]: Uint8Array): string {
  if (first === 0xff && second === 0xfe) return 'utf-16le'
  return first === 0xfe && second === 0xff ? 'utf-16be' : 'utf-8'
}
