import { parseJson } from '../../oci/json.ts'
import { BundleError } from './bundle-error.ts'
import { refuseBomb } from './refuse-bomb.ts'

/** The JSON of an entry that came from elsewhere. Throws BundleError `refused`. */
export function parseEntry(bytes: Uint8Array, name: string): unknown {
  refuseBomb(bytes, name)
  try {
    return parseJson(bytes)
  } catch (cause) {
    throw new BundleError('refused', `${name} is not JSON`, { cause })
  }
}
