import * as z from 'zod'
import { UPSTREAM_MODES } from '../core/upstream-mode.ts'
import { readBasePath } from './base-path.ts'
import { LOG_FORMATS, LOG_LEVELS } from './config.ts'
import { readHelperName } from './credential-helper.ts'
import { readServer, SERVER_FORMS } from './docker-config.ts'
import { DURATION_FORMS, readDuration } from './duration.ts'
import { HOST_FORMS, readHost, readHostOrPort } from './host-name.ts'
import { isImmutablePattern } from './immutable-tags.ts'
import {
  ADMIN_LISTEN_FORMS,
  LISTEN_FORMS,
  readAdminListen,
  readListenAddress,
} from './listen-address.ts'
import { expected, read } from './reading.ts'
import { FREE_SPACE_FORMS, readFreeSpace, readSize, SIZE_FORMS } from './size.ts'
import { text, textOrFalse, textOrNumber } from './text.ts'
import { warmSettings } from './warm-settings.ts'
import { readPublicUrl, readRegistryUrl } from './web-url.ts'

/** What is mirrored if the file does not say; replaced as a whole if it does. */
export const DEFAULT_UPSTREAMS = {
  'docker.io': {},
  'ghcr.io': {},
  'quay.io': {},
  'registry.k8s.io': {},
  'gcr.io': {},
  'mcr.microsoft.com': {},
  'public.ecr.aws': {},
}

/** Every answer leaves within 20 s, whatever upstream does: more patience than this could not be had. */
const MOST_PATIENCE = '15s'
const ENV_NAME = /^[A-Za-z_][A-Za-z0-9_]*$/
const SECRET =
  'expected a text, env(\'NAME\') or file(\'path\'); in YAML and JSON { "env": "NAME" } or { "file": "path" }'

const duration = () => text(DURATION_FORMS, (given) => readDuration(given))
const patience = () => text(DURATION_FORMS, (given) => readDuration(given, MOST_PATIENCE))
const hosts = () => z.array(text(HOST_FORMS, readHost)).default([])
const registryUrl = () => text('a URL', readRegistryUrl)
const nonEmpty = (what: string) =>
  text(what, (given) => (given === '' || given.includes('\0') ? expected(what) : read(given)))

// A name with other characters is likely to be the secret itself, and is not repeated in the message.
const envName = () =>
  text('the name of an environment variable', (given) =>
    ENV_NAME.test(given) ? read(given) : expected('the name of an environment variable'),
  )

const secret = z.union(
  [
    z.string(),
    z.strictObject({ env: envName() }),
    z.strictObject({ file: nonEmpty('the path of a file') }),
  ],
  { error: SECRET },
)

const immutablePattern = text('a glob of tags', (given) =>
  isImmutablePattern(given)
    ? read(given)
    : expected('a glob of tags such as "v*", "acme/app:release-*" or "library/**"'),
)

const reserve = z
  .int({ error: 'expected a whole number of pulls, 0 for no reserve' })
  .min(0, { error: 'expected a whole number of pulls, 0 for no reserve' })

const connections = z
  .int({ error: 'expected a whole number from 1 to 1024' })
  .min(1, { error: 'expected a whole number from 1 to 1024' })
  .max(1024, { error: 'expected a whole number from 1 to 1024' })

const server = z.strictObject({
  listen: textOrNumber(LISTEN_FORMS, readListenAddress).prefault('127.0.0.1:5000'),
  basePath: text('a path', readBasePath).prefault(''),
  publicUrl: text('a URL', readPublicUrl).optional(),
  names: hosts(),
  catalog: z.boolean().default(false),
})

const admin = z.strictObject({
  listen: textOrFalse(ADMIN_LISTEN_FORMS, readAdminListen).prefault('127.0.0.1:5001'),
})

const storage = z.strictObject({
  dir: nonEmpty('the path of a directory').prefault('./data'),
  maxSize: textOrNumber(SIZE_FORMS, readSize).optional(),
  minFree: textOrNumber(FREE_SPACE_FORMS, readFreeSpace).prefault('10%'),
})

/** Which of the keys go together is checked in upstream-problems.ts, so that one slip hides no other. */
const auth = z.strictObject({
  username: secret.optional(),
  password: secret.optional(),
  token: secret.optional(),
  dockerConfig: nonEmpty('the path of a Docker configuration file').optional(),
  helper: text('the name of a credential helper', readHelperName).optional(),
  server: text(SERVER_FORMS, readServer).optional(),
})

const tags = z.strictObject({
  ttl: duration().prefault('5m'),
  patience: patience().prefault('2s'),
  staleWhileRevalidate: duration().prefault('0s'),
  onGone: z.enum(['drop', 'keep']).default('drop'),
  authGrace: duration().prefault('1h'),
  immutable: z.array(immutablePattern).default([]),
})

const upstream = z.strictObject({
  mode: z.enum(UPSTREAM_MODES).default('online'),
  url: registryUrl().optional(),
  endpoints: z.array(registryUrl()).min(1, { error: 'expected at least one URL' }).optional(),
  aliases: hosts(),
  hosts: z.array(text(HOST_FORMS, readHostOrPort)).default([]),
  auth: auth.optional(),
  access: z.literal('shared').optional(),
  tags: tags.prefault({}),
  ca: nonEmpty('the path of a PEM file').optional(),
  insecure: z.boolean().default(false),
  tokenRealms: hosts(),
  redirectHosts: hosts(),
  connections: connections.default(32),
  rateLimit: z.strictObject({ reserve: reserve.default(10) }).prefault({}),
  prefetch: z.boolean().default(true),
})

const log = z.strictObject({
  level: z.enum(LOG_LEVELS).default('info'),
  format: z.enum(LOG_FORMATS).default('auto'),
})

/** The schema of a configuration file: the one place where keys, defaults and grammars come together. */
export const settingsSchema = z.strictObject({
  server: server.prefault({}),
  admin: admin.prefault({}),
  storage: storage.prefault({}),
  defaultUpstream: z
    .union([z.string(), z.literal(false)], {
      error: 'expected the name of an upstream, or false for none',
    })
    .optional(),
  upstreams: z.record(z.string(), upstream).prefault(DEFAULT_UPSTREAMS),
  staleIfError: duration().prefault('30d'),
  warm: warmSettings.prefault({}),
  log: log.prefault({}),
})

/** A file that fits the schema, with its defaults, before names, files and secrets are looked at. */
export type Settings = z.output<typeof settingsSchema>
export type UpstreamSettings = Settings['upstreams'][string]
export type SettingsInput = z.input<typeof settingsSchema>
