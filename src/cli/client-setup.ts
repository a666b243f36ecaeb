import type { Config } from '../config/config.ts'
import type { UpstreamName } from '../oci/reference.ts'

/** What a client's files are made from. */
export interface MirrorFacts {
  /** Where the client finds the mirror, with the base path and no slash at its end. */
  readonly url: string
  /** The registries that the client is to get from the mirror. */
  readonly upstreams: readonly UpstreamName[]
  /** Their other names. */
  readonly aliases: ReadonlyMap<UpstreamName, readonly string[]>
  readonly defaultUpstream: UpstreamName | undefined
  /** Whether the client may go on to the registry itself. */
  readonly fallsBack: boolean
}

/** A file of a client's configuration. `path` is relative to the directory that the client reads. */
export type ClientFile =
  | { readonly path: string; readonly text: string }
  /** JSON, which belongs to others too: these lists are merged into what is there. */
  | {
      readonly path: string
      /** An empty one adds nothing: its place is only looked at. */
      readonly lists: Readonly<Record<string, readonly string[]>>
      /** What to say to a person of the entries that are there besides, if anything. */
      readonly remark?: (others: Readonly<Record<string, readonly string[]>>) => string | undefined
    }

/** All that points one client at the mirror, or why nothing can. */
export type ClientSetup =
  | {
      /** Where the client looks for its files, unless it was told otherwise. */
      readonly dir: string
      readonly files: readonly ClientFile[]
      /** What else there is to do or to know, a sentence each. */
      readonly notes: readonly string[]
    }
  | { readonly refusal: string }

/** What a file of ours begins with, so that one of somebody else's can be told from it. */
export const MARK = '# Made by oci-mirror client-config'

/** The lines as a file that says what it is and where it goes. Its format has `#` comments. */
export function commented(place: string, lines: readonly string[]): string {
  return [`${MARK}; its place is ${place}`, ...lines, ''].join('\n')
}

/** A string literal of TOML, which is also one of YAML and of JSON. */
export function quoted(text: string): string {
  // JSON leaves DEL as it is, which TOML forbids.
  return JSON.stringify(text).replaceAll('\u007f', String.raw`\u007f`)
}

/** The other names of all configured registries, as `MirrorFacts` has them. */
export function aliasesOf(upstreams: Config['upstreams']): MirrorFacts['aliases'] {
  return new Map([...upstreams].map(([name, { aliases }]) => [name, aliases]))
}

export function isPlainHttp({ url }: MirrorFacts): boolean {
  return url.startsWith('http:')
}

/** `host` or `host:port`. */
export function hostOf({ url }: MirrorFacts): string {
  return new URL(url).host
}

/** The path of a mirror that does not have its host for itself; `''` for one that does. */
export function pathOf({ url }: MirrorFacts): string {
  return new URL(url).pathname.replace(/\/$/, '')
}
