import { join } from 'node:path'
import type { TestImage, TestIndex } from '../../support/images.ts'
import { makeTempDir } from '../../support/temp-dir.ts'
import type { Containerd } from './containerd.ts'
import { startContainerd } from './containerd.ts'
import { startDockerRegistry } from './docker-registry.ts'
import type { MirrorProgram } from './mirror-program.ts'
import { startMirror } from './mirror-program.ts'
import { pushImage } from './push.ts'
import { TokenServer } from './token-server.ts'

export const PUBLIC = 'docker.io'
export const PRIVATE = 'registry.example:5000'
/** For clients whose image names cannot have a port in the middle. */
export const PRIVATE_ALIAS = 'private'
export type UpstreamName = typeof PUBLIC | typeof PRIVATE

/** What the mirror has for the private registry. */
export const LOGIN = { username: 'mirror', password: 'e2e-password' }

/** Two real registries, one of them behind token auth, the mirror in front, and containerd. */
export interface Stage {
  readonly dir: string
  readonly mirror: MirrorProgram
  readonly containerd: Containerd
  readonly tokens: TokenServer
  /** What the mirror dials. */
  readonly urls: Readonly<Record<UpstreamName, string>>
  push(
    upstream: UpstreamName,
    repository: string,
    image: TestImage | TestIndex,
    tag: string,
  ): Promise<void>
  /** Ends both registries and the token server. */
  stopUpstreams(): Promise<void>
  close(): Promise<void>
}

export async function setStage(): Promise<Stage> {
  await using stack = new AsyncDisposableStack()
  const { path: dir } = stack.use(await makeTempDir())
  const tokens = await TokenServer.start({ service: 'e2e', ...LOGIN })
  const open = await startDockerRegistry({ dir: join(dir, 'open') })
  const guarded = await startDockerRegistry({ dir: join(dir, 'guarded'), tokens })
  const upstreams = [
    stack.adopt(open, (one) => one.stop()),
    stack.adopt(guarded, (one) => one.stop()),
  ]
  stack.adopt(tokens, (server) => server.close())
  const mirror = await startMirror({
    dir,
    config: {
      defaultUpstream: PUBLIC,
      // All that it can say, so that a secret in any line would be seen.
      log: { level: 'trace', format: 'json' },
      upstreams: {
        [PUBLIC]: { url: open.url },
        [PRIVATE]: {
          url: guarded.url,
          aliases: [PRIVATE_ALIAS],
          auth: LOGIN,
          access: 'shared',
          tokenRealms: [tokens.host],
        },
      },
    },
  })
  stack.adopt(mirror, (program) => program.stop())
  const containerd = await startContainerd(join(dir, 'containerd'))
  stack.adopt(containerd, (daemon) => daemon.stop())
  // Nothing failed: from here on the stage ends them.
  const owned = stack.move()
  const urls = { [PUBLIC]: open.url, [PRIVATE]: guarded.url }
  return {
    dir,
    mirror,
    containerd,
    tokens,
    urls,
    push: (upstream, repository, image, tag) => {
      const access = [{ type: 'repository', name: repository, actions: ['pull', 'push'] }]
      const token = upstream === PRIVATE ? { token: tokens.issue(access) } : {}
      return pushImage({ url: urls[upstream], repository, ...token }, image, tag)
    },
    stopUpstreams: async () => {
      await Promise.all([...upstreams.map((one) => one.stop()), tokens.close()])
    },
    close: () => owned.disposeAsync(),
  }
}
