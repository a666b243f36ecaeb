import { DOCKER_HUB, parseUpstreamName } from '../oci/reference.ts'
import type { CredentialHelper, Credentials } from './config.ts'
import { checkHelperName } from './credential-helper.ts'
import { isTable, tableAt, valueAt } from './raw-input.ts'
import type { Reading } from './reading.ts'
import { expected, read } from './reading.ts'
import { readText } from './secret.ts'

type Table = Readonly<Record<string, unknown>>

/** What `docker login` has always called Docker Hub: its key in the file, and what helpers know it by. */
const HUB_SERVER = 'https://index.docker.io/v1/'

export const SERVER_FORMS = 'the name of a server such as "123.dkr.ecr.eu-west-1.amazonaws.com"'

/** It is written to a helper as one line. */
export function readServer(text: string): Reading<string> {
  return /^[\x21-\x7e]{1,255}$/.test(text) && !text.includes('@')
    ? read(text)
    : expected(SERVER_FORMS)
}

/** How Docker, and so every helper and file, calls the server of an upstream. */
export function dockerServer(upstream: string): string {
  return parseUpstreamName(upstream) === DOCKER_HUB ? HUB_SERVER : upstream
}

/**
 * The credentials for a server from Docker's `config.json`, as Docker itself would find them: by the
 * helper that `credHelpers` has for it, else by the one of `credsStore`, else in `auths`. Throws an Error
 * that says what the file lacks, and never what it holds.
 */
export async function readDockerConfig(
  path: string,
  server: string,
): Promise<Credentials | CredentialHelper> {
  const config = parseTable(await readText(path), path)
  const host = hostOf(server)
  const own = find(tableAt(config, 'credHelpers'), server, host)
  const helper = own === undefined ? valueAt(config, 'credsStore') : own[1]
  // An empty text keeps this server's credentials in the file although others are in a store.
  if (typeof helper === 'string' && helper !== '') {
    return { helper: checkHelperName(helper, path), server }
  }
  const auths = tableAt(config, 'auths')
  const entry = find(auths, server, host)
  if (entry !== undefined) return readEntry(entry[1], `the entry "${entry[0]}" of ${path}`)
  const others = Object.keys(auths).slice(0, 10).join(', ')
  const hint = others === '' ? 'it has none at all' : `it has those of ${others}`
  throw new Error(`${path} has no credentials for ${server}: ${hint}; run "docker login" for it`)
}

function parseTable(text: string, path: string): Table {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    // The parser's message quotes the text, and with it whatever secret is there.
    throw new Error(`${path} is not JSON`)
  }
  if (!isTable(value)) throw new Error(`${path} is not a JSON object`)
  return value
}

/** The entry whose key means the server; the spelling that Docker itself writes goes before the others. */
function find(table: Table, server: string, host: string): readonly [string, unknown] | undefined {
  const entries = Object.entries(table)
  return entries.find(([key]) => key === server) ?? entries.find(([key]) => hostOf(key) === host)
}

/**
 * `https://host/v1/`, `https://host/v2/`, `host` and `host:443` are one. A key with another path is
 * podman's, for a part of a registry, and means no registry.
 */
function hostOf(key: string): string {
  const bare = key.replace(/^https?:\/\//i, '').replace(/\/(?:v[12]\/?)?$/, '')
  return parseUpstreamName(bare) ?? key
}

function readEntry(entry: unknown, where: string): Credentials {
  const {
    registrytoken: token,
    identitytoken: identityToken,
    auth,
    username,
    password,
  } = isTable(entry) ? entry : {}
  if (isText(token)) return { token }
  if (isText(identityToken)) return { identityToken }
  if (isText(auth)) return decodeLogin(auth, where)
  if (isText(username) && isText(password)) return { username, password }
  throw new Error(`${where} has no credentials in it: run "docker login" again`)
}

/** Base64 of `user:password`, where the password may have colons. */
function decodeLogin(auth: string, where: string): Credentials {
  // Docker itself has written files whose texts end in a NUL.
  const text = Buffer.from(auth, 'base64').toString().replace(/\0+$/, '')
  const colon = text.indexOf(':')
  if (colon < 1) throw new Error(`${where} has an auth that is not the base64 of user:password`)
  return { username: text.slice(0, colon), password: text.slice(colon + 1) }
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== ''
}
