import type { CarriedImage } from '../core/airgap/carried.ts'
import type { BundleOrigin, CommitRequest, ImportOffer } from '../core/airgap/import-api.ts'
import { MaintenanceError } from '../core/maintenance/maintenance-error.ts'
import type { Digest } from '../oci/digest.ts'
import { parseDigest } from '../oci/digest.ts'
import type { JsonObject } from '../oci/json.ts'
import { isObject } from '../oci/json.ts'
import { readDescriptor } from '../oci/manifest.ts'

/** What an import offers. Throws MaintenanceError `invalid`, as `readCommit` does. */
export function readOffer(value: unknown): ImportOffer {
  const body = objectAt(value, 'body')
  return {
    images: listAt(body, 'images').map(readImage),
    blobs: listAt(body, 'blobs').map((blob) => {
      const fields = objectAt(blob, 'blobs')
      return { digest: digestAt(fields, 'digest'), size: sizeAt(fields, 'size') }
    }),
    requires: listAt(body, 'requires').map((digest) => readDigest(digest, 'requires')),
    parents: listAt(body, 'parents').map((id) => readText(id, 'parents')),
    origin: readOrigin(body['origin']),
    overwrite: body['overwrite'] === true,
  }
}

export function readCommit(value: unknown): CommitRequest {
  const body = objectAt(value, 'body')
  const { pin } = body
  if (pin !== 'none' && pin !== 'all' && pin !== 'carried') throw invalid('pin')
  return {
    session: readText(body['session'], 'session'),
    images: listAt(body, 'images').map(readImage),
    origin: readOrigin(body['origin']),
    overwrite: body['overwrite'] === true,
    pin,
  }
}

function readImage(value: unknown): CarriedImage {
  const image = objectAt(value, 'images')
  const { manifest, platforms, checkedAt, subject, pinned } = image
  const descriptor = readDescriptor(manifest)
  if (descriptor === undefined) throw invalid('manifest')
  return {
    image: readText(image['image'], 'image'),
    manifest: descriptor,
    platforms: platforms === 'all' ? 'all' : listAt(image, 'platforms').map(readPlatform),
    ...(checkedAt !== undefined && { checkedAt: sizeAt(image, 'checkedAt') }),
    ...(subject !== undefined && { subject: digestAt(image, 'subject') }),
    ...(pinned === true && { pinned }),
  }
}

function readPlatform(value: unknown): string {
  return readText(value, 'platforms')
}

function readOrigin(value: unknown): BundleOrigin {
  const origin = objectAt(value, 'origin')
  const { id } = origin
  return {
    ...(id !== undefined && { id: readText(id, 'id') }),
    created: sizeAt(origin, 'created'),
    name: readText(origin['name'], 'name'),
  }
}

function objectAt(value: unknown, key: string): JsonObject {
  if (isObject(value)) return value
  throw invalid(key)
}

function listAt(value: JsonObject, key: string): readonly unknown[] {
  const list = value[key]
  if (Array.isArray(list)) return list
  throw invalid(key)
}

function digestAt(value: JsonObject, key: string): Digest {
  return readDigest(value[key], key)
}

function readDigest(value: unknown, key: string): Digest {
  const digest = typeof value === 'string' ? parseDigest(value) : undefined
  if (digest === undefined) throw invalid(key)
  return digest
}

function readText(value: unknown, key: string): string {
  if (typeof value === 'string' && value !== '' && value.length <= 1000) return value
  throw invalid(key)
}

/** Of bytes, or of milliseconds. */
function sizeAt(value: JsonObject, key: string): number {
  const size = value[key]
  if (typeof size === 'number' && Number.isSafeInteger(size) && size >= 0) return size
  throw invalid(key)
}

function invalid(key: string): MaintenanceError {
  return new MaintenanceError('invalid', `the field "${key}" is not what an import sends`)
}
