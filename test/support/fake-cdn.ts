import { randomBytes } from 'node:crypto'
import type { Answer } from './fake-answer.ts'
import { textAnswer } from './fake-answer.ts'
import type { RecordedRequest } from './recorded-request.ts'
import { bytesContent } from './bytes.ts'

export interface RedirectOptions {
  /** To a server on another port, or to a path of the registry itself. Default 'cdn'. */
  readonly to?: 'cdn' | 'relative'
  /** Default 307. */
  readonly status?: 301 | 302 | 303 | 307 | 308
  /** Whether manifests and lists of tags are redirected too, as registry.k8s.io does. Default false. */
  readonly manifests?: boolean
  /** The parameter that has the signature. Default 'X-Amz-Signature'. */
  readonly signedBy?: string
  /** Seconds that a signature is good for. Default 300. */
  readonly expiresIn?: number
}

const SIGNATURE = 'X-Amz-Signature'

interface Signature {
  readonly method: string
  readonly path: string
  readonly expiresAt: number
}

/** Presigned URLs as S3 makes them: for one method and path, for a while, and without Authorization. */
export class FakeCdn {
  readonly #options: RedirectOptions
  readonly #now: () => number
  readonly #origin: () => string
  readonly #signatures = new Map<string, Signature>()

  constructor(options: RedirectOptions, now: () => number, origin: () => string) {
    this.#options = options
    this.#now = now
    this.#origin = origin
  }

  static isCdnPath(path: string): boolean {
    return path.startsWith('/cdn/')
  }

  redirect({ kind, method, query, repository, reference }: RecordedRequest): Answer | undefined {
    const { to = 'cdn', status = 307, manifests = false, expiresIn = 300 } = this.#options
    const { signedBy = SIGNATURE } = this.#options
    const isElsewhere = kind === 'blob' || (manifests && (kind === 'manifest' || kind === 'tags'))
    if (!isElsewhere) return undefined
    const path = `/cdn/${repository}/${kind === 'tags' ? kind : `${kind}s`}/${reference}`
    const signature = randomBytes(8).toString('hex')
    const expiresAt = this.#now() + expiresIn * 1000
    this.#signatures.set(signature, { method, path, expiresAt })
    const signed = new URLSearchParams(query)
    if (signedBy === SIGNATURE) signed.set('X-Amz-Expires', String(expiresIn))
    signed.set(signedBy, signature)
    const location = `${path}?${signed.toString()}`
    const headers = { location: to === 'relative' ? location : this.#origin() + location }
    return { status, headers, body: bytesContent(Buffer.alloc(0)) }
  }

  refuse({ headers, query, method, path }: RecordedRequest): Answer | undefined {
    if (headers['authorization'] !== undefined) return s3Error(400, 'InvalidArgument')
    const signed = this.#signatures.get(query.get(this.#options.signedBy ?? SIGNATURE) ?? '')
    const isSigned = signed !== undefined && signed.method === method && signed.path === path
    if (!isSigned) return s3Error(403, 'SignatureDoesNotMatch')
    return signed.expiresAt <= this.#now() ? s3Error(403, 'AccessDenied') : undefined
  }
}

function s3Error(status: number, code: string): Answer {
  return textAnswer(status, 'application/xml', `<Error><Code>${code}</Code></Error>`)
}
