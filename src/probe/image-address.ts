import type { Config } from '../config/config.ts'
import { parseAddress } from '../http/address.ts'
import type { AddressBook } from '../http/address-book.ts'
import { compileAddressBook } from '../http/address-book.ts'
import { quoteInput } from '../http/quote-input.ts'
import type { Reference, Repository } from '../oci/reference.ts'
import { RegistryError } from '../oci/registry-error.ts'

export interface ImageAddress {
  readonly repository: Repository
  readonly reference: Reference
  /** What named the upstream: the image's own path, or nothing, so that it is the default one. */
  readonly row: 'path' | 'default'
}

/**
 * What the mirror makes of an image's name, as people write it: `alpine`, `ghcr.io/org/x:1`,
 * `quay.io/org/x@sha256:…`. Throws RegistryError, as for a request.
 */
export function addressOf(image: string, config: Config): ImageAddress {
  const { name, reference } = splitImage(image)
  const target = `${config.server.basePath}/v2/${name}/manifests/${reference}`
  const request = { target, host: [], ociNamespace: [], ociRefName: [], localPort: 0 }
  const address = parseAddress(request, bookOf(config))
  if (address.kind !== 'manifest') {
    throw new RegistryError('NAME_INVALID', 'it is no image: write [REGISTRY/]NAME[:TAG][@DIGEST]')
  }
  const { repository, route } = address
  const row = route.row === 'default' ? 'default' : 'path'
  return { repository, reference: address.reference, row }
}

/** What no name of an image has, and would make another request of it: escapes, a query, empty parts. */
const ODD_NAME = /[\s?#%\\]|^$|^\/|\/$|\/\/|(?:^|\/)\.\.?(?:\/|$)/

/** A digest goes before a tag, and no tag means `latest`, as every client has it. */
function splitImage(image: string): { readonly name: string; readonly reference: string } {
  if (image.includes('://')) {
    throw new RegistryError('NAME_INVALID', 'write the image without a URL scheme')
  }
  const [tagged = '', digest] = image.split(/@(.*)/s)
  // A colon before the last slash belongs to the registry's port.
  const colon = tagged.indexOf(':', tagged.lastIndexOf('/') + 1)
  const name = colon < 0 ? tagged : tagged.slice(0, colon)
  const tag = colon < 0 ? 'latest' : tagged.slice(colon + 1)
  if (ODD_NAME.test(name)) {
    throw new RegistryError('NAME_INVALID', `${quoteInput(name)} is no name of an image`)
  }
  return { name, reference: digest ?? tag }
}

function bookOf({ server, upstreams, defaultUpstream }: Config): AddressBook {
  const { names, publicUrl, basePath } = server
  return compileAddressBook({
    upstreams: upstreams.values(),
    defaultUpstream,
    names,
    publicUrl,
    basePath,
  })
}
