/** Readers for JSON that somebody else wrote: nothing is believed about its shape. */

export type JsonObject = Readonly<Record<string, unknown>>

/** Throws SyntaxError or TypeError (no UTF-8) for what is not JSON. */
export function parseJson(bytes: Uint8Array): unknown {
  return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

export function asArray(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}
