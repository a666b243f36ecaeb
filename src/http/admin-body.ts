import type { ListedReference } from '../core/airgap/warm-api.ts'
import { MaintenanceError } from '../core/maintenance/maintenance-error.ts'
import { isObject } from '../oci/json.ts'

const MAX_REFERENCES = 1_000
/** A large cluster has a few thousand. */
const MAX_IMAGES = 50_000
const MAX_TEXTS = 100

/** Reads the fields of a JSON body, and refuses what is left over: a slip must not change what is removed. */
export class AdminBody {
  readonly #fields: Map<string, unknown>

  private constructor(fields: Map<string, unknown>) {
    this.#fields = fields
  }

  /** Throws MaintenanceError `invalid`, as all of its methods do. */
  static parse(text: string): AdminBody {
    let value: unknown
    try {
      value = JSON.parse(text === '' ? '{}' : text)
    } catch (cause) {
      const said = cause instanceof Error ? cause.message : String(cause)
      throw new MaintenanceError('invalid', `the body is not JSON: ${said}`)
    }
    if (!isObject(value)) throw new MaintenanceError('invalid', 'the body is not a JSON object')
    return new AdminBody(new Map(Object.entries(value)))
  }

  reference(): string {
    const value = this.#take('reference')
    if (typeof value === 'string') return value
    throw new MaintenanceError('invalid', 'the field "reference" has to be a text')
  }

  references(least: 0 | 1, most = MAX_REFERENCES): readonly string[] {
    const value = this.#take('references') ?? []
    const isList = Array.isArray(value) && value.every((item) => typeof item === 'string')
    if (isList && value.length >= least && value.length <= most) return value
    throw new MaintenanceError(
      'invalid',
      `the field "references" has to be a list of ${least} to ${most} texts`,
    )
  }

  /** A list of at most a hundred, if it is there. */
  texts(name: string): readonly string[] | undefined {
    const value = this.#take(name)
    if (value === undefined) return undefined
    const isList = Array.isArray(value) && value.every((item) => typeof item === 'string')
    if (isList && value.length <= MAX_TEXTS) return value
    throw new MaintenanceError(
      'invalid',
      `the field "${name}" has to be a list of at most ${MAX_TEXTS} texts`,
    )
  }

  /** Images as somebody wrote them, each with where that was if it is known. */
  images(): readonly ListedReference[] {
    const value = this.#take('images')
    const isList = Array.isArray(value) && value.every(isListed)
    if (isList && value.length <= MAX_IMAGES) return value
    throw new MaintenanceError(
      'invalid',
      `the field "images" has to be a list of at most ${MAX_IMAGES} objects with "reference" and "from"`,
    )
  }

  /** True or false, or `undefined` if it is not there. */
  choice(name: string): boolean | undefined {
    return this.#fields.has(name) ? this.flag(name) : undefined
  }

  /** False if it is not there. */
  flag(name: string): boolean {
    const value = this.#take(name) ?? false
    if (typeof value === 'boolean') return value
    throw new MaintenanceError('invalid', `the field "${name}" has to be true or false`)
  }

  /** Above zero, if it is there. */
  number(name: string): number | undefined {
    const value = this.#take(name)
    if (value === undefined) return undefined
    if (typeof value === 'number' && value > 0 && Number.isFinite(value)) return value
    throw new MaintenanceError('invalid', `the field "${name}" has to be a number above 0`)
  }

  /** To be called when every field has been read. */
  end(): void {
    const [left] = this.#fields.keys()
    if (left === undefined) return
    throw new MaintenanceError('invalid', `there is no field ${JSON.stringify(left)} here`)
  }

  #take(name: string): unknown {
    const value = this.#fields.get(name)
    this.#fields.delete(name)
    return value
  }
}

function isListed(value: unknown): value is ListedReference {
  if (!isObject(value) || typeof value['reference'] !== 'string') return false
  const { reference: _, from, ...others } = value
  return Object.keys(others).length === 0 && (from === undefined || typeof from === 'string')
}
