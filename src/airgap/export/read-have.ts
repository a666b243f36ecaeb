import { createReadStream } from 'node:fs'
import { open } from 'node:fs/promises'
import { get as getPlain } from 'node:http'
import { get as getSecure } from 'node:https'
import type { IncomingMessage } from 'node:http'
import { basename } from 'node:path'
import { StartError } from '../../core/start-error.ts'
import type { Digest } from '../../oci/digest.ts'
import { parseDigest } from '../../oci/digest.ts'
import { asArray, isObject, parseJson } from '../../oci/json.ts'
import { parseBundleHeader } from '../bundle/parse-bundle-header.ts'
import type { HaveSource } from './have.ts'
import { haveOfBundle } from './have.ts'
import { readBundleHeader } from './read-bundle-header.ts'

/** Of an inventory or a header: some four hundred thousand blobs. */
const MAX_BYTES = 64 * 1024 * 1024
const ANSWER_MS = 60_000
const FORMS =
  'an inventory, an earlier bundle, the .json beside it, or the URL of the admin listener of a mirror'

/**
 * What the other side has, as `source` tells: an inventory, an earlier bundle or its header, or the admin
 * listener of a running mirror. Throws StartError.
 */
export async function readHave(source: string, signal: AbortSignal): Promise<HaveSource> {
  try {
    if (/^https?:\/\//.test(source)) return parseHave(await download(source, signal), source)
    const isText = await beginsWithBrace(source)
    if (isText) return parseHave(await collect(createReadStream(source)), source)
    const header = await readBundleHeader(source, signal)
    return { ...haveOfBundle(header, nameOf(source)), name: source, created: header.created }
  } catch (cause) {
    signal.throwIfAborted()
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new StartError(`--have ${source}: ${why}; it has to be ${FORMS}`, { cause })
  }
}

function parseHave(bytes: Uint8Array, source: string): HaveSource {
  const value = parseJson(bytes)
  if (isObject(value) && value['id'] !== undefined) {
    const header = parseBundleHeader(bytes)
    return { ...haveOfBundle(header, nameOf(source)), name: source, created: header.created }
  }
  const created = isObject(value) ? value['created'] : undefined
  if (!isObject(value) || value['version'] !== 1 || typeof created !== 'number') {
    throw new Error('it is no inventory of this version')
  }
  const blobs = asArray(value['blobs']).map((digest): [Digest, undefined] => [
    readDigest(digest),
    undefined,
  ])
  const images = asArray(value['images']).map((entry): [string, Digest] => {
    if (isObject(entry) && typeof entry['image'] === 'string') {
      return [entry['image'], readDigest(entry['digest'])]
    }
    throw new Error('it has an image without a name')
  })
  return {
    blobs: new Map(blobs),
    images: new Map(images),
    parents: [],
    name: source,
    created,
  }
}

function readDigest(value: unknown): Digest {
  const digest = typeof value === 'string' ? parseDigest(value) : undefined
  if (digest === undefined) throw new Error('it names a blob by something that is no digest')
  return digest
}

async function beginsWithBrace(path: string): Promise<boolean> {
  const file = await open(path)
  try {
    const { bytesRead, buffer } = await file.read(Buffer.alloc(64), 0, 64, 0)
    return buffer.toString('latin1', 0, bytesRead).trimStart().startsWith('{')
  } finally {
    await file.close()
  }
}

async function download(source: string, signal: AbortSignal): Promise<Uint8Array> {
  const url = new URL('/api/v1/inventory', source)
  const get = url.protocol === 'https:' ? getSecure : getPlain
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
  const either = AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MS)])
  get(url, { agent: false, signal: either }, resolve).on('error', reject)
  const response = await promise
  if (response.statusCode === 200) return collect(response)
  response.destroy()
  throw new Error(`${url.href} answers ${response.statusCode}`)
}

async function collect(source: AsyncIterable<Buffer>): Promise<Uint8Array> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of source) {
    size += chunk.length
    if (size > MAX_BYTES) throw new Error(`it is larger than ${MAX_BYTES} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

/** `/media/usb/week34.001.tar` → `week34` */
function nameOf(path: string): string {
  return basename(path).replace(/(?:\.\d{3,4})?\.(?:tar|json)$/, '')
}
