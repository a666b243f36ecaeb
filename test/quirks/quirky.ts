import type { Clock } from '../../src/core/ports.ts'
import { FakeRegistry } from '../support/fake-registry.ts'
import type { Login, RegistryQuirks } from '../support/registry-quirks.ts'
import type { TestMirrorOptions } from '../support/test-mirror.ts'
import { TestMirror } from '../support/test-mirror.ts'

type TestUpstream = Partial<TestMirrorOptions['upstreams'][string]>

export interface Quirky {
  readonly registry: FakeRegistry
  readonly mirror: TestMirror
  /** The path of something in the registry's repository, as containerd asks a mirror for it. */
  readonly at: (rest: string, repository?: string) => string
}

/** The mirror in front of one registry, with its login if it wants one. */
export async function startQuirky(
  { upstream, repository: usual, options, login }: RegistryQuirks,
  settings: TestUpstream & { readonly login?: Login; readonly clock?: Clock } = {},
): Promise<Quirky> {
  const registry = await FakeRegistry.start(options)
  const { login: given = login, clock, ...rest } = settings
  const mirror = await TestMirror.start({
    upstreams: {
      [upstream]: {
        registry,
        // On loopback no two hosts are of one domain, as these are in the world.
        tokenRealms: registry.hosts(),
        ...(given && { credentials: () => Promise.resolve(given) }),
        ...rest,
      },
    },
    ...(clock && { clock }),
  })
  const at = (path: string, repository = usual) => `/v2/${repository}/${path}?ns=${upstream}`
  return { registry, mirror, at }
}
