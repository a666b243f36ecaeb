/**
 * The distribution specification's error codes with the status that we send for each, and the two
 * that it leaves to registries for 5xx.
 */
export const ERROR_CODES = {
  BLOB_UNKNOWN: { status: 404, message: 'blob unknown to this registry' },
  DENIED: { status: 403, message: 'access to the requested resource is denied' },
  DIGEST_INVALID: { status: 400, message: 'the digest is not one that this registry can verify' },
  MANIFEST_INVALID: { status: 400, message: 'the manifest or its reference is invalid' },
  MANIFEST_UNKNOWN: { status: 404, message: 'manifest unknown to this registry' },
  NAME_INVALID: { status: 400, message: 'invalid repository name' },
  NAME_UNKNOWN: { status: 404, message: 'repository name not known to this registry' },
  SIZE_INVALID: { status: 416, message: 'the requested range does not lie in the blob' },
  UNSUPPORTED: { status: 405, message: 'the operation is unsupported' },
  UNAVAILABLE: { status: 503, message: 'the mirror cannot answer at the moment' },
  UNKNOWN: { status: 500, message: 'unexpected failure' },
} as const

export type ErrorCode = keyof typeof ERROR_CODES

export interface RegistryErrorOptions {
  readonly cause?: unknown
  /** Instead of the code's own status, where one code serves several (502, 503, 504). */
  readonly status?: number
  /** Seconds, for the `Retry-After` header. */
  readonly retryAfter?: number
}

/** A request that cannot be answered. `detail` says what was tried, what happened and what to do. */
export class RegistryError extends Error {
  readonly code: ErrorCode
  readonly status: number
  readonly retryAfter: number | undefined

  constructor(code: ErrorCode, detail: string, options: RegistryErrorOptions = {}) {
    super(detail, { cause: options.cause })
    this.name = 'RegistryError'
    this.code = code
    this.status = options.status ?? ERROR_CODES[code].status
    this.retryAfter = options.retryAfter
  }
}
