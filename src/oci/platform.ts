import type { JsonObject } from './json.ts'

/** image-spec "Image Index": what an image runs on. */
export interface Platform {
  readonly os: string
  readonly architecture: string
  /** `v8` of `linux/arm64/v8`. */
  readonly variant?: string
}

/** Which images of an index are wanted. */
export type PlatformChoice = 'all' | readonly Platform[]

const WORD = /^[a-z0-9][a-z0-9_.-]{0,63}$/
/** What people and `uname` write, and what registries have. */
const ARCHITECTURES: Readonly<Record<string, string>> = {
  x86_64: 'amd64',
  x64: 'amd64',
  aarch64: 'arm64',
  armhf: 'arm',
  i386: '386',
  ia32: '386',
}
/** An arm64 that states no variant is a v8, and the other way round: there is no other in use. */
const ONLY_VARIANT: Readonly<Record<string, string>> = { arm64: 'v8', amd64: 'v1' }

/** `linux/arm64/v8`, `linux/x86_64`. `undefined` for anything else, an operating system alone included. */
export function parsePlatform(text: string): Platform | undefined {
  const [os = '', architecture = '', variant, ...rest] = text.toLowerCase().split('/')
  const words = [os, architecture, ...(variant === undefined ? [] : [variant])]
  if (rest.length > 0 || !words.every((word) => WORD.test(word))) return undefined
  const known = ARCHITECTURES[architecture] ?? architecture
  return { os, architecture: known, ...(variant !== undefined && { variant }) }
}

export function formatPlatform({ os, architecture, variant }: Platform): string {
  return [os, architecture, ...(variant === undefined ? [] : [variant])].join('/')
}

/** Of an entry of an index. `undefined` if it states none, or it is `unknown/unknown`, which is no platform. */
export function readPlatform(value: JsonObject): Platform | undefined {
  const { os, architecture, variant } = value
  if (typeof os !== 'string' || typeof architecture !== 'string') return undefined
  if (os === '' || architecture === '' || os === 'unknown') return undefined
  return {
    os,
    architecture,
    ...(typeof variant === 'string' && variant !== '' && { variant }),
  }
}

/** Whether an image for `has` is one of those that are wanted. A wanted platform without a variant means each. */
export function isWanted(has: Platform, choice: PlatformChoice): boolean {
  if (choice === 'all') return true
  return choice.some(({ os, architecture, variant }) => {
    if (os !== has.os || architecture !== has.architecture) return false
    return variant === undefined || variantOf({ os, architecture, variant }) === variantOf(has)
  })
}

function variantOf({ architecture, variant }: Platform): string | undefined {
  return variant ?? ONLY_VARIANT[architecture]
}
