import { gzipSync } from 'node:zlib'
import { bytesContent, readAll } from './bytes.ts'
import type { Answer } from './fake-answer.ts'
import { errorAnswer, textAnswer } from './fake-answer.ts'
import type { FakeRegistryOptions } from './fake-registry.ts'

/** A registry that people pull from, as a mode of the fake: what is peculiar to it, and nothing else. */
export interface RegistryQuirks {
  /** The name that clients know it by. */
  readonly upstream: string
  /** A repository named as is usual there. */
  readonly repository: string
  readonly options: FakeRegistryOptions
  /** Given only where nobody pulls without one. */
  readonly login?: Login
}

export interface Login {
  readonly username: string
  readonly password: string
}

/** The text of Docker Hub's 429 for a manifest. */
export const HUB_LIMIT_TEXT = JSON.stringify({
  errors: [
    {
      code: 'TOOMANYREQUESTS',
      message:
        'You have reached your unauthenticated pull rate limit. ' +
        'https://www.docker.com/increase-rate-limit',
    },
  ],
})

/**
 * Token server on another host. A GET of a manifest is a pull, a HEAD is none; both tell how many pulls
 * are left, and after the last one comes a 429 with a long text.
 */
export function dockerHub(limit: { remaining: number } = { remaining: 99 }) {
  return {
    upstream: 'docker.io',
    repository: 'library/app',
    options: {
      auth: {
        kind: 'token',
        realm: 'own-port',
        service: 'registry.docker.io',
        expiresIn: 300,
        users: { hubber: 'canary-hub' },
        anonymous: true,
      },
      // Cloudflare's: a name that does not sound like a signature.
      redirect: { expiresIn: 300, signedBy: 'verify' },
      quirk: ({ kind, method }, answer) => {
        if (kind !== 'manifest' || answer.status === 401) return answer
        const isPull = method === 'GET' && answer.status === 200
        const isTooMany = isPull && limit.remaining === 0
        if (isPull && !isTooMany) limit.remaining -= 1
        return withHeaders(
          isTooMany ? textAnswer(429, 'application/json', HUB_LIMIT_TEXT) : answer,
          {
            'ratelimit-limit': '100;w=21600',
            'ratelimit-remaining': `${limit.remaining};w=21600`,
            'docker-ratelimit-source': '192.0.2.1',
          },
        )
      },
    },
  } as const satisfies RegistryQuirks
}

/**
 * A package that does not exist is refused by the token endpoint; presigned URLs live for 300 s and are
 * for GET only; referrers are redirected to a web page.
 */
export function ghcr(statusOfMissing: 401 | 403 = 403): RegistryQuirks {
  return {
    upstream: 'ghcr.io',
    repository: 'org/app',
    options: {
      auth: { kind: 'token', service: 'ghcr.io' },
      redirect: { expiresIn: 300 },
      quirk: (request, answer, knows) => {
        const { kind, server, method, path, query } = request
        const scope = query.get('scope') ?? ''
        if (kind === 'token' && !knows(scope.split(':')[1] ?? '')) {
          return errorAnswer(statusOfMissing, 'DENIED')
        }
        if (server === 'cdn' && method === 'HEAD') return errorAnswer(403, 'SignatureDoesNotMatch')
        // Nothing listens there: whoever follows it fails.
        return path.includes('/referrers/') && answer.status !== 401
          ? withHeaders(textAnswer(303, 'text/html', '<html>'), { location: 'http://127.0.0.2:9/' })
          : answer
      },
    },
  }
}

/** Tokens below /v2, 401 for what does not exist, and a 502 now and then for a blob. */
export function quay(): RegistryQuirks {
  let blobs = 0
  return {
    upstream: 'quay.io',
    repository: 'org/app',
    options: {
      auth: { kind: 'token', service: 'quay.io', realmPath: '/v2/auth' },
      redirect: { status: 302, expiresIn: 600, signedBy: 'Signature' },
      quirk: ({ kind, server, headers, repository = '' }, answer, knows) => {
        if (kind === 'manifest' && !knows(repository)) {
          const realm = `http://${headers['host']}/v2/auth`
          return withHeaders(errorAnswer(401, 'UNAUTHORIZED'), {
            'www-authenticate': `Bearer realm="${realm}",service="quay.io"`,
          })
        }
        if (kind !== 'blob' || server !== 'registry' || answer.status === 401) return answer
        blobs += 1
        return blobs % 3 === 1 ? textAnswer(502, 'text/html', '<html>Bad Gateway</html>') : answer
      },
    },
  }
}

/** Redirects are relative; no token without a repository's scope; no `ns`, no several ranges. */
export function gar(): RegistryQuirks {
  return {
    upstream: 'europe-docker.pkg.dev',
    repository: 'project/images/app',
    options: {
      auth: { kind: 'token', service: 'europe-docker.pkg.dev', realmPath: '/v2/token' },
      redirect: { to: 'relative', status: 302 },
      quirk: ({ kind, query, headers }, answer) => {
        const isScoped = query.getAll('scope').some((scope) => scope.startsWith('repository:'))
        if (kind === 'token' && !isScoped) return errorAnswer(401, 'UNAUTHORIZED')
        if (query.has('ns')) return errorAnswer(404, 'NAME_UNKNOWN')
        return headers['range']?.includes(',') === true
          ? textAnswer(400, 'application/xml', '<Error><Code>InvalidRange</Code></Error>')
          : answer
      },
    },
  }
}

/** No login; manifests and lists are redirected to another host as blobs are. */
export function registryK8s(): RegistryQuirks {
  return {
    upstream: 'registry.k8s.io',
    repository: 'pause',
    options: { redirect: { manifests: true, status: 307 } },
  }
}

/** Anonymous, but with a token of the scope `aws`; refuses HEAD on blobs. */
export function ecrPublic(): RegistryQuirks {
  return {
    upstream: 'public.ecr.aws',
    repository: 'docker/library/app',
    options: {
      auth: { kind: 'token', service: 'public.ecr.aws', scope: 'aws', realmPath: '/token/' },
      redirect: { status: 307 },
      refuseHead: { blobs: 401 },
      quirk: ({ kind, query }, answer) =>
        kind === 'token' && !query.getAll('scope').includes('aws')
          ? errorAnswer(400, 'UNSUPPORTED')
          : answer,
    },
  }
}

/** Basic, with a token for a password; S3 behind it takes no second authorization. */
export function ecrPrivate(): RegistryQuirks {
  const login = { username: 'AWS', password: 'canary-ecr' }
  return {
    upstream: '123456789012.dkr.ecr.eu-central-1.amazonaws.com',
    repository: 'team/app',
    login,
    options: { auth: { kind: 'basic', users: users(login) }, redirect: { status: 307 } },
  }
}

/** The token is an `access_token` without an expiry; the user's name is a row of zeros. */
export function acr(): RegistryQuirks {
  const login = { username: '00000000-0000-0000-0000-000000000000', password: 'canary-acr' }
  return {
    upstream: 'team.azurecr.io',
    repository: 'app',
    login,
    options: {
      auth: {
        kind: 'token',
        service: 'team.azurecr.io',
        realmPath: '/oauth2/token',
        tokenField: 'access_token',
        tellsExpiry: false,
        users: users(login),
      },
      redirect: { status: 307, signedBy: 'sig' },
    },
  }
}

/** Token server on another host under another path; no referrers, and their tag is the image itself. */
export function gitlab(): RegistryQuirks {
  const login = { username: 'deploy', password: 'canary-gitlab' }
  return {
    upstream: 'registry.gitlab.com',
    repository: 'group/project/app',
    login,
    options: {
      auth: {
        kind: 'token',
        service: 'container_registry',
        realm: 'own-port',
        realmPath: '/jwt/auth',
        users: users(login),
      },
      redirect: {},
      lists: { tagsAreDigests: true },
    },
  }
}

/** Names no service; the user is `$oauthtoken` and the password an API key. */
export function nvcr(): RegistryQuirks {
  const login = { username: '$oauthtoken', password: 'canary-nvcr' }
  return {
    upstream: 'nvcr.io',
    repository: 'nvidia/app',
    login,
    options: {
      auth: {
        kind: 'token',
        service: false,
        realmPath: '/proxy_auth',
        expiresIn: 600,
        users: users(login),
      },
      redirect: { status: 302 },
      quirk: ({ kind, query }, answer) =>
        kind === 'token' && query.has('service') ? errorAnswer(400, 'UNSUPPORTED') : answer,
    },
  }
}

/** A token that is no good any more is answered with a challenge for Basic. */
export function harbor(): RegistryQuirks {
  const login = { username: 'robot$pull', password: 'canary-harbor' }
  return {
    upstream: 'harbor.example',
    repository: 'project/app',
    login,
    options: {
      auth: {
        kind: 'token',
        service: 'harbor-registry',
        realmPath: '/service/token',
        users: users(login),
      },
      quirk: ({ headers }, answer) =>
        answer.status === 401 && headers['authorization']?.startsWith('Bearer ') === true
          ? withHeaders(answer, { 'www-authenticate': 'Basic realm="harbor"' })
          : answer,
    },
  }
}

/** Asks nobody for anything; blobs are at a data host. */
export function mcr(): RegistryQuirks {
  return { upstream: 'mcr.microsoft.com', repository: 'dotnet/app', options: { redirect: {} } }
}

/**
 * Compresses what it sends wherever that is allowed, says no digest, and has an API for signatures,
 * which it announces: a client that believes it of a mirror asks that for signatures.
 */
export function redhat(): RegistryQuirks {
  return {
    upstream: 'registry.access.redhat.com',
    repository: 'ubi9/app',
    options: {
      digestHeader: false,
      redirect: { status: 302 },
      quirk: ({ headers, kind }, answer) => {
        const signed = withHeaders(answer, { 'x-registry-supports-signatures': '1' })
        const allowed = headers['accept-encoding'] ?? 'gzip'
        const isPlain = kind !== 'manifest' || answer.status !== 200 || !/gzip|\*/.test(allowed)
        if (isPlain) return signed
        const body = bytesContent(gzipSync(readAll(answer.body)))
        return withHeaders({ ...signed, body }, { 'content-encoding': 'gzip' })
      },
    },
  }
}

/** Below a path of a host of the company's own, Basic, redirects are relative, and there is no digest. */
export function artifactory(): RegistryQuirks {
  const login = { username: 'reader', password: 'canary-artifactory' }
  return {
    upstream: 'artifactory.example',
    repository: 'team/app',
    login,
    options: {
      auth: { kind: 'basic', users: users(login) },
      prefix: '/artifactory/api/docker/remote',
      redirect: { to: 'relative', status: 302 },
      digestHeader: false,
    },
  }
}

/** Offers Basic before Bearer, on lines of their own, and has no digest to say. */
export function nexus(): RegistryQuirks {
  return {
    upstream: 'nexus.example',
    repository: 'team/app',
    options: {
      auth: { kind: 'token', service: 'nexus.example', realmPath: '/v2/token' },
      digestHeader: false,
      quirk: (_, answer) => {
        const challenges = [answer.headers['www-authenticate'] ?? []].flat()
        const basic = 'BASIC realm="Sonatype Nexus Repository Manager"'
        return challenges.length === 0
          ? answer
          : withHeaders(answer, { 'www-authenticate': [basic, ...challenges] })
      },
    },
  }
}

function users({ username, password }: Login): Readonly<Record<string, string>> {
  return { [username]: password }
}

function withHeaders(answer: Answer, headers: Answer['headers']): Answer {
  return { ...answer, headers: { ...answer.headers, ...headers } }
}
