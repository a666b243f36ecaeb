import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Digest } from '../../src/oci/digest.ts'
import type { Certificate } from './certificate.ts'
import { selfSigned } from './certificate.ts'
import { deliver } from './deliver.ts'
import type { Answer } from './fake-answer.ts'
import { errorAnswer, jsonAnswer, rangeAnswer } from './fake-answer.ts'
import type { AuthOptions } from './fake-auth.ts'
import { FakeAuth } from './fake-auth.ts'
import type { RedirectOptions } from './fake-cdn.ts'
import { FakeCdn } from './fake-cdn.ts'
import { FakeContent } from './fake-content.ts'
import type { ListOptions } from './fake-lists.ts'
import { FakeServer } from './fake-server.ts'
import type { Fault, Injection } from './fault.ts'
import { Faults } from './fault.ts'
import { bendAnswer } from './fault-answer.ts'
import type { HugeBlob, TestBlob, TestImage, TestIndex } from './images.ts'
import type { RecordedRequest, RequestFilter, RequestKind, ServerRole } from './recorded-request.ts'
import { matchesFilter, recordRequest } from './recorded-request.ts'

export interface FakeRegistryOptions {
  readonly auth?: AuthOptions
  /** What a registry does in its own way: see `registry-quirks.ts`. */
  readonly quirk?: Quirk
  /** Blobs, and manifests if it says so, are redirected. Default: served by the registry itself. */
  readonly redirect?: RedirectOptions
  /** How tags and referrers are listed. Default: tags in pages, and no referrers. */
  readonly lists?: ListOptions
  /** Whether manifests and blobs carry Docker-Content-Digest. Default true. */
  readonly digestHeader?: boolean
  /** The status that refuses HEAD, such as 405 or 401. */
  readonly refuseHead?: { readonly manifests?: number; readonly blobs?: number }
  /** A path before `/v2`, such as `/mirror`. */
  readonly prefix?: string
  /** https with a self-signed certificate: `registry.ca`. */
  readonly tls?: boolean
  /** For the expiry of tokens and signatures, in milliseconds. Default: the real time. */
  readonly now?: () => number
}

/**
 * Changes an answer before any fault does: a challenge, a token, a redirect or content, from any of the
 * servers. `knows` tells whether the registry has a repository.
 */
type Quirk = (
  request: RecordedRequest,
  answer: Answer,
  knows: (repository: string) => boolean,
) => Answer

/** A filter and a position in the body at which matching answers wait. */
type GateOptions = RequestFilter & { readonly after: number }

interface Gate {
  /** Resolves when the first matching answer has sent its bytes and waits. */
  readonly reached: Promise<void>
  open(): void
}

/**
 * A registry on loopback that does what real ones do, records every request, and misbehaves on
 * command. `close()` leaves nothing open.
 */
export class FakeRegistry {
  /** Every request to any of its servers, in order of arrival. */
  readonly requests: RecordedRequest[] = []
  /** The certificate to trust (PEM); undefined without `tls`. */
  readonly ca: string | undefined
  readonly #options: FakeRegistryOptions
  readonly #content = new FakeContent()
  readonly #faults = new Faults()
  readonly #servers = new Map<ServerRole, FakeServer>()
  readonly #cdn: FakeCdn | undefined
  readonly #auth: FakeAuth | undefined

  private constructor(options: FakeRegistryOptions, ca: string | undefined) {
    const now = options.now ?? Date.now
    this.#options = options
    this.ca = ca
    this.#auth = options.auth && new FakeAuth(options.auth, now, () => this.#realm())
    const origin = (): string => this.#server('cdn').origin
    this.#cdn = options.redirect && new FakeCdn(options.redirect, now, origin)
  }

  static async start(options: FakeRegistryOptions = {}): Promise<FakeRegistry> {
    const tls = options.tls === true ? selfSigned(['127.0.0.1', 'localhost']) : undefined
    const registry = new FakeRegistry(options, tls?.cert)
    await registry.#listen('registry', tls)
    if (options.redirect !== undefined && options.redirect.to !== 'relative') {
      await registry.#listen('cdn', tls)
    }
    if (options.auth?.kind === 'token' && options.auth.realm === 'own-port') {
      await registry.#listen('token', tls)
    }
    return registry
  }

  /** `http://127.0.0.1:PORT`, with the prefix if there is one. */
  get url(): string {
    return this.#server('registry').origin + (this.#options.prefix ?? '')
  }

  /** `127.0.0.1:PORT` of one of its servers. */
  host(server: ServerRole = 'registry'): string {
    return new URL(this.#server(server).origin).host
  }

  /** `127.0.0.1:PORT` of each of its servers. */
  hosts(): readonly string[] {
    return [...this.#servers.keys()].map((role) => this.host(role))
  }

  /** Adds an image or index with everything that it names, and a tag for it if given. */
  add(repository: string, image: TestImage | TestIndex, tag?: string): void {
    this.#content.add(repository, image, tag)
  }

  /** A manifest alone, whatever its bytes are. */
  addManifest(repository: string, manifest: TestBlob, tag?: string): void {
    this.#content.addManifest(repository, manifest, tag)
  }

  addBlob(repository: string, blob: TestBlob | HugeBlob): void {
    this.#content.addBlob(repository, blob)
  }

  setTag(repository: string, tag: string, digest: Digest): void {
    this.#content.setTag(repository, tag, digest)
  }

  deleteTag(repository: string, tag: string): void {
    this.#content.deleteTag(repository, tag)
  }

  /** Takes a manifest or blob out of one repository. */
  delete(repository: string, digest: Digest): void {
    this.#content.delete(repository, digest)
  }

  inject(fault: Fault): Injection {
    return this.#faults.inject(fault)
  }

  /** Holds matching answers after `after` bytes of their body until it is opened. */
  gate({ after, ...filter }: GateOptions): Gate {
    const opened = Promise.withResolvers<void>()
    const reached = Promise.withResolvers<void>()
    const hold = { after, until: opened.promise, reached: reached.resolve }
    this.inject({ ...filter, action: { hold } })
    return { reached: reached.promise, open: opened.resolve }
  }

  count(filter: RequestFilter = {}): number {
    return this.requests.filter((request) => matchesFilter(request, filter)).length
  }

  /** Bytes of bodies that clients have taken. */
  bytesSent(kind: RequestKind): number {
    return this.requests
      .filter((request) => request.kind === kind)
      .reduce((sum, request) => sum + request.bytesSent, 0)
  }

  /** Connections to all of its servers that are open now. */
  openSockets(): number {
    return sum([...this.#servers.values()].map((server) => server.openSockets()))
  }

  /** Connections that were ever made to any of its servers. */
  socketsOpened(): number {
    return sum([...this.#servers.values()].map((server) => server.socketsOpened()))
  }

  /** Forgets what was recorded and injected; content, tokens and connections stay. */
  reset(): void {
    this.requests.length = 0
    this.#faults.clear()
  }

  /** Refuses every token issued so far. */
  revokeTokens(): void {
    this.#auth?.revoke()
  }

  /** Cuts connections and refuses new ones, on one server or on all. */
  async stop(server?: ServerRole): Promise<void> {
    await Promise.all(this.#some(server).map((one) => one.stop()))
  }

  /** Back on the same port. */
  async restart(server?: ServerRole): Promise<void> {
    await Promise.all(this.#some(server).map((one) => one.restart()))
  }

  async close(): Promise<void> {
    await this.stop()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #listen(role: ServerRole, tls: Certificate | undefined): Promise<void> {
    const handler = (incoming: IncomingMessage, response: ServerResponse) =>
      this.#handle(role, incoming, response)
    this.#servers.set(role, await FakeServer.start(handler, tls))
  }

  async #handle(role: ServerRole, incoming: IncomingMessage, response: ServerResponse) {
    incoming.resume()
    const record = recordRequest(role, incoming, this.#options.prefix ?? '', this.#realmPath())
    this.requests.push(record)
    const refusal = this.#refusal(record)
    if (refusal !== undefined) return deliver(response, this.#inItsWay(record, refusal), {}, record)
    const action = this.#faults.take(record)
    const isChallenge = action.status === 401 && isGuarded(record)
    const plain = (isChallenge ? this.#auth?.challenge(record) : undefined) ?? this.#answer(record)
    const range = action.ignoreRange === true ? undefined : record.headers['range']
    const usual = record.kind === 'blob' ? rangeAnswer(plain, range) : plain
    const answer = this.#inItsWay(record, usual)
    return deliver(response, bendAnswer(answer, action, record), action, record)
  }

  /** The challenge, which no fault bends: a fault is for the request that comes with the token. */
  #refusal(record: RecordedRequest): Answer | undefined {
    return isGuarded(record) ? this.#auth?.refuse(record) : undefined
  }

  #inItsWay(record: RecordedRequest, answer: Answer): Answer {
    const { quirk } = this.#options
    return quirk?.(record, answer, (name) => this.#content.has(name)) ?? answer
  }

  #answer(record: RecordedRequest): Answer {
    if (record.kind === 'token') {
      return this.#auth?.answerTokenRequest(record) ?? errorAnswer(404, 'UNSUPPORTED')
    }
    if (FakeCdn.isCdnPath(record.path)) {
      return this.#cdn?.refuse(record) ?? this.#content.answer(record, record.kind === 'manifest')
    }
    return this.#refusedHead(record) ?? this.#redirected(record) ?? this.#plain(record)
  }

  #plain(record: RecordedRequest): Answer {
    if (record.kind === 'ping') return jsonAnswer(200, {})
    const { digestHeader = true, lists } = this.#options
    return this.#content.answer(record, digestHeader, lists)
  }

  #refusedHead({ method, kind }: RecordedRequest): Answer | undefined {
    const { manifests, blobs } = this.#options.refuseHead ?? {}
    const status = kind === 'manifest' ? manifests : kind === 'blob' ? blobs : undefined
    return method === 'HEAD' && status !== undefined
      ? errorAnswer(status, status === 401 ? 'UNAUTHORIZED' : 'UNSUPPORTED')
      : undefined
  }

  #redirected(record: RecordedRequest): Answer | undefined {
    const exists = this.#plain(record).status === 200
    return exists ? this.#cdn?.redirect(record) : undefined
  }

  #realm(): string {
    const realm = this.#options.auth?.kind === 'token' ? this.#options.auth.realm : undefined
    if (typeof realm === 'object') return realm.url
    const role = realm === 'own-port' ? 'token' : 'registry'
    return this.#server(role).origin + this.#realmPath()
  }

  #realmPath(): string {
    const { auth } = this.#options
    return (auth?.kind === 'token' ? auth.realmPath : undefined) ?? '/token'
  }

  #some(role: ServerRole | undefined): readonly FakeServer[] {
    return role === undefined ? [...this.#servers.values()] : [this.#server(role)]
  }

  #server(role: ServerRole): FakeServer {
    const server = this.#servers.get(role)
    if (server === undefined) throw new Error(`this fake registry has no ${role} server`)
    return server
  }
}

/** Token servers and storage are asked without the token. */
function isGuarded({ server, kind, path }: RecordedRequest): boolean {
  return server === 'registry' && kind !== 'token' && !FakeCdn.isCdnPath(path)
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0)
}
