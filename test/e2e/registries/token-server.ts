import { createPrivateKey, randomUUID, sign, X509Certificate } from 'node:crypto'
import type { Server } from 'node:http'
import { createServer } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { selfSigned } from '../../support/certificate.ts'

interface Access {
  readonly type: string
  readonly name: string
  readonly actions: readonly string[]
}

interface TokenServerOptions {
  readonly service: string
  readonly username: string
  readonly password: string
}

const LIFETIME_SECONDS = 300

/**
 * A token server in the form that distribution documents: it checks a password and signs a JWT that
 * the registry verifies by the certificate in the token's `x5c` header.
 */
export class TokenServer {
  static readonly issuer = 'e2e-token-server'
  /** Token requests that were granted. */
  granted = 0
  readonly #options: TokenServerOptions
  readonly #certificate = selfSigned(['token.test'])
  readonly #server: Server

  private constructor(options: TokenServerOptions) {
    this.#options = options
    this.#server = createServer((incoming, response) => {
      const authorization = incoming.headers.authorization
      if (authorization !== `Basic ${btoa(`${options.username}:${options.password}`)}`) {
        response.writeHead(401, { 'content-type': 'application/json' }).end('{"details":"who?"}')
        return
      }
      const { searchParams } = new URL(incoming.url ?? '', 'http://token.test')
      const access = searchParams.getAll('scope').flatMap(readScope)
      this.granted += 1
      response
        .writeHead(200, { 'content-type': 'application/json' })
        .end(JSON.stringify({ token: this.issue(access), expires_in: LIFETIME_SECONDS }))
    })
  }

  static async start(options: TokenServerOptions): Promise<TokenServer> {
    const server = new TokenServer(options)
    server.#server.listen(0, '127.0.0.1')
    await once(server.#server, 'listening')
    return server
  }

  get host(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  /** What the registry's `rootcertbundle` has to hold (PEM). */
  get rootCertificate(): string {
    return this.#certificate.cert
  }

  /** A signed token for exactly this access. */
  issue(access: readonly Access[]): string {
    const now = Math.floor(Date.now() / 1000)
    const { service, username } = this.#options
    const x5c = [new X509Certificate(this.#certificate.cert).raw.toString('base64')]
    const claims = {
      iss: TokenServer.issuer,
      sub: username,
      aud: service,
      exp: now + LIFETIME_SECONDS,
      nbf: now - 10,
      iat: now,
      jti: randomUUID(),
      access,
    }
    const content = `${encode({ typ: 'JWT', alg: 'ES256', x5c })}.${encode(claims)}`
    // RFC 7518 §3.4: r and s side by side, not DER.
    const key = {
      key: createPrivateKey(this.#certificate.key),
      dsaEncoding: 'ieee-p1363',
    } as const
    return `${content}.${sign('sha256', Buffer.from(content), key).toString('base64url')}`
  }

  /** Harmless when closed. */
  async close(): Promise<void> {
    if (!this.#server.listening) return
    this.#server.close()
    this.#server.closeAllConnections()
    await once(this.#server, 'close')
  }
}

function readScope(scope: string): readonly Access[] {
  const [, type, name, actions] = /^([a-z]+):(.+):([a-z,]+)$/.exec(scope) ?? []
  if (type === undefined || name === undefined || actions === undefined) return []
  // Only pulls: the tests push with tokens of their own.
  return [{ type, name, actions: actions.split(',').filter((action) => action === 'pull') }]
}

function encode(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}
