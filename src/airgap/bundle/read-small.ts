/** An entry that its reader has found to be small enough to be held. */
export async function readSmall({
  size,
  body,
}: {
  readonly size: number
  readonly body: AsyncIterable<Uint8Array>
}): Promise<Uint8Array> {
  const bytes = new Uint8Array(size)
  let offset = 0
  for await (const chunk of body) {
    bytes.set(chunk, offset)
    offset += chunk.length
  }
  return bytes
}
