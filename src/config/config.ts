import type { UpstreamMode } from '../core/upstream-mode.ts'
import type { UpstreamName } from '../oci/reference.ts'
import type { Schedule } from './schedule.ts'
import type { JobSource } from './warm-settings.ts'

/** What the mirror runs with: checked, complete, every name canonical, every unit settled. Frozen. */
export interface Config {
  /** The file that it came from; `undefined` for the embedded defaults. */
  readonly source: string | undefined
  readonly server: ServerConfig
  readonly admin: AdminConfig
  readonly storage: StorageConfig
  /** Where a request goes that names no upstream. */
  readonly defaultUpstream: UpstreamName | undefined
  /** Closed world: the mirror knows these and dials nothing else. */
  readonly upstreams: ReadonlyMap<UpstreamName, UpstreamConfig>
  /** Milliseconds: how long past its time to live a tag may stand in for an upstream that is down. */
  readonly staleIfError: number
  readonly warm: WarmConfig
  readonly log: LogConfig
}

export interface ServerConfig {
  readonly listen: ListenAddress
  /** `''` or `/prefix`. */
  readonly basePath: string
  readonly publicUrl: URL | undefined
  /** The mirror's own names: lower case, with the port unless it is 443. */
  readonly names: readonly string[]
  /** Whether `_catalog` lists the repositories that are held. */
  readonly catalog: boolean
}

export interface ListenAddress {
  /** An address or a host name without brackets; `''` is every interface, of IPv4 and of IPv6. */
  readonly host: string
  /** 0 lets the system choose. */
  readonly port: number
}

interface AdminConfig {
  /** `undefined`: there is no admin listener. */
  readonly listen: ListenAddress | undefined
}

interface StorageConfig {
  /** Absolute. */
  readonly dir: string
  /** Bytes. */
  readonly maxSize: number | undefined
  readonly minFree: FreeSpace
}

/** Room to leave on the volume: bytes, or a part of it from 0 up to, not including, 1. */
export type FreeSpace = { readonly bytes: number } | { readonly ratio: number }

interface WarmConfig {
  /** `all` alone, or platforms. */
  readonly platforms: readonly string[]
  readonly referrers: boolean
  readonly jobs: readonly WarmJobConfig[]
}

interface WarmJobConfig {
  readonly name: string
  readonly schedule: Schedule
  readonly from: readonly JobSource[]
  /** `undefined`: as everywhere. */
  readonly platforms: readonly string[] | undefined
  readonly pin: boolean
}

interface LogConfig {
  readonly level: LogLevel
  readonly format: LogFormat
}

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]

/** `auto`: pretty on a terminal, JSON elsewhere. */
export const LOG_FORMATS = ['auto', 'json', 'pretty'] as const
export type LogFormat = (typeof LOG_FORMATS)[number]

export interface UpstreamConfig {
  readonly name: UpstreamName
  /** `offline` for all of them if the program was told so. */
  readonly mode: UpstreamMode
  /** At least one, in the order in which they are asked. */
  readonly endpoints: readonly URL[]
  readonly aliases: readonly string[]
  /** `host`, `host:port` or `:port`, lower case. */
  readonly hosts: readonly string[]
  /**
   * Reads the secrets anew on each call, or tells which program has them. Rejects with a message that
   * names the place, never the value.
   */
  readonly credentials: (() => Promise<Credentials | CredentialHelper>) | undefined
  readonly access: 'shared' | undefined
  readonly tags: TagsConfig
  /** PEM text, trusted in addition to the system's roots. */
  readonly ca: string | undefined
  readonly insecure: boolean
  readonly tokenRealms: readonly string[]
  readonly redirectHosts: readonly string[]
  readonly connections: number
  readonly rateLimit: {
    /** Pulls; 0 for no reserve. */
    readonly reserve: number
  }
  /** Whether an image's layers are fetched ahead of the client that pulls it. */
  readonly prefetch: boolean
  /** From the environment alone, and the same for all upstreams. */
  readonly proxies: ProxyConfig
}

/** HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY. The URLs may hold a user name and a password. */
export interface ProxyConfig {
  /** For whatever has http://. */
  readonly http: URL | undefined
  /** For whatever has https://. */
  readonly https: URL | undefined
  /** The entries of NO_PROXY. */
  readonly bypass: readonly string[]
}

/** Durations in milliseconds. */
export interface TagsConfig {
  readonly ttl: number
  readonly patience: number
  readonly staleWhileRevalidate: number
  readonly onGone: 'drop' | 'keep'
  readonly authGrace: number
  /** Globs: see immutable-tags.ts. */
  readonly immutable: readonly string[]
}

/** `identityToken` is for a token server, in place of a password. */
export type Credentials =
  | { readonly username: string; readonly password: string }
  | { readonly token: string }
  | { readonly identityToken: string }

/** The program `docker-credential-<helper>` knows the credentials of `server`. */
export interface CredentialHelper {
  readonly helper: string
  readonly server: string
}
