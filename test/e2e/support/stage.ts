import { join } from 'node:path'
import type { TestImage, TestIndex } from '../../support/images.ts'
import { makeTempDir } from '../../support/temp-dir.ts'
import type { Registry } from '../registries/distribution.ts'
import { DISTRIBUTION_2, DISTRIBUTION_3, startDistribution } from '../registries/distribution.ts'
import { pushImage } from '../registries/push.ts'
import { TokenServer } from '../registries/token-server.ts'
import type { MirrorProgram } from './mirror-program.ts'
import { startMirror } from './mirror-program.ts'
import { Outside } from './outside.ts'

/** The name that Docker's registry-mirrors are for. */
export const HUB = 'docker.io'
/** With a port, and behind token auth. */
export const TOKEN = 'token.example:5000'
/** Behind a password. */
export const BASIC = 'basic.example'
export const V3 = 'v3.example'
export const UPSTREAMS = [HUB, TOKEN, BASIC, V3] as const
export type UpstreamName = (typeof UPSTREAMS)[number]

/** What each of them is. */
export const REGISTRIES: Readonly<Record<UpstreamName, string>> = {
  [HUB]: 'docker-registry, open',
  [TOKEN]: 'docker-registry, token auth',
  [BASIC]: 'docker-registry, htpasswd',
  [V3]: 'distribution v3',
}

/** For clients whose image names cannot have a port in the middle. */
export const TOKEN_ALIAS = 'guarded'

/** What the mirror has for the registries that ask. */
export const LOGIN = { username: 'mirror', password: 'e2e-password' }
const BASIC_AUTHORIZATION = `Basic ${btoa(`${LOGIN.username}:${LOGIN.password}`)}`
/** That password as bcrypt, the only hash that the registry knows. */
const HTPASSWD = `${LOGIN.username}:$2b$05$1PaK3huHCFBLO6e9THXS2OihSTwPZaAj1GcyGVsSDbHTRk68./Db2\n`

/** Four real registries, the mirror in front of them, and nothing else in the world. */
export interface Stage {
  readonly dir: string
  readonly mirror: MirrorProgram
  readonly outside: Outside
  /** What the mirror dials. */
  readonly urls: Readonly<Record<UpstreamName, string>>
  push(upstream: UpstreamName, repository: string, content: Content, tag: string): Promise<void>
  /** Ends the registries and the token server. */
  stopUpstreams(): Promise<void>
  close(): Promise<void>
}

type Content = TestImage | TestIndex

export async function setStage(): Promise<Stage> {
  await using stack = new AsyncDisposableStack()
  const { path: dir } = stack.use(await makeTempDir())
  const outside = stack.adopt(await Outside.start(), (server) => server.close())
  const tokens = await TokenServer.start({ service: 'e2e', ...LOGIN })
  stack.adopt(tokens, (server) => server.close())
  const registries = await startRegistries(dir, tokens)
  stack.defer(() => stopAll(registries))
  const mirror = await startMirror({ dir, config: mirrorConfig(registries, tokens) })
  stack.adopt(mirror, (program) => program.stop())
  // Nothing failed: from here on the stage ends them.
  const owned = stack.move()
  return {
    dir,
    mirror,
    outside,
    urls: eachUpstream((name) => registries[name].url),
    push: (upstream, repository, content, tag) => {
      const authorization = pushAuthorization(upstream, repository, tokens)
      return pushImage(
        { url: registries[upstream].url, repository, ...authorization },
        content,
        tag,
      )
    },
    stopUpstreams: async () => {
      await Promise.all([stopAll(registries), tokens.close()])
    },
    close: () => owned.disposeAsync(),
  }
}

type Registries = Readonly<Record<UpstreamName, Registry>>

async function startRegistries(dir: string, tokens: TokenServer): Promise<Registries> {
  const started = { program: DISTRIBUTION_2 }
  const [hub, token, basic, v3] = await Promise.all([
    startDistribution({ ...started, dir: join(dir, 'hub') }),
    startDistribution({
      ...started,
      dir: join(dir, 'token'),
      auth: { kind: 'token', tokens, service: 'e2e' },
    }),
    startDistribution({
      ...started,
      dir: join(dir, 'basic'),
      auth: { kind: 'basic', htpasswd: HTPASSWD },
    }),
    startDistribution({ program: DISTRIBUTION_3, dir: join(dir, 'v3') }),
  ])
  return { [HUB]: hub, [TOKEN]: token, [BASIC]: basic, [V3]: v3 }
}

async function stopAll(registries: Registries): Promise<void> {
  await Promise.all(Object.values(registries).map((registry) => registry.stop()))
}

function mirrorConfig(registries: Registries, tokens: TokenServer) {
  const guarded = { auth: LOGIN, access: 'shared' }
  return {
    defaultUpstream: HUB,
    // All that it can say, so that a secret in any line would be seen.
    log: { level: 'trace', format: 'json' },
    upstreams: {
      [HUB]: { url: registries[HUB].url },
      [TOKEN]: {
        url: registries[TOKEN].url,
        aliases: [TOKEN_ALIAS],
        tokenRealms: [tokens.host],
        ...guarded,
      },
      [BASIC]: { url: registries[BASIC].url, ...guarded },
      [V3]: { url: registries[V3].url },
    },
  }
}

function pushAuthorization(upstream: UpstreamName, repository: string, tokens: TokenServer) {
  if (upstream === BASIC) return { authorization: BASIC_AUTHORIZATION }
  if (upstream !== TOKEN) return {}
  const access = [{ type: 'repository', name: repository, actions: ['pull', 'push'] }]
  return { authorization: `Bearer ${tokens.issue(access)}` }
}

function eachUpstream<T>(make: (name: UpstreamName) => T): Readonly<Record<UpstreamName, T>> {
  const entries = UPSTREAMS.map((name) => [name, make(name)])
  return Object.fromEntries(entries) as Record<UpstreamName, T>
}
