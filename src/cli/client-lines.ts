import type { Config } from '../config/config.ts'
import { DOCKER_HUB } from '../oci/reference.ts'
import { dockerMirror } from './client-docker.ts'
import { registryBlock } from './client-podman.ts'
import type { MirrorFacts } from './client-setup.ts'
import { aliasesOf, pathOf, quoted } from './client-setup.ts'

/** A file of a client's configuration, and what to write into it. */
export interface ClientLines {
  readonly client: string
  readonly file: string
  readonly lines: readonly string[]
}

/**
 * The shortest that points containerd, Docker and podman at the mirror, each as far as it can be pointed.
 * `client-config` has the whole files, and for more clients.
 */
export function clientLines(config: Config, url: string): readonly ClientLines[] {
  const { defaultUpstream } = config
  const upstreams = [...config.upstreams.keys()]
  const aliases = aliasesOf(config.upstreams)
  const facts = { url, upstreams, aliases, defaultUpstream, fallsBack: true }
  return [containerd(facts), ...docker(facts), ...podman(facts)]
}

/** `_default` is asked about every registry; containerd names the one that is meant in `?ns=`. */
function containerd({ url }: MirrorFacts): ClientLines {
  return {
    client: 'containerd',
    file: '/etc/containerd/certs.d/_default/hosts.toml',
    lines: [`[host.${quoted(url)}]`, '  capabilities = ["pull", "resolve"]'],
  }
}

/** Docker mirrors Docker Hub only, and does not say so in its requests unless the path does. */
function docker(facts: MirrorFacts): readonly ClientLines[] {
  if (!facts.upstreams.includes(DOCKER_HUB)) return []
  return [
    {
      client: 'Docker',
      file: '/etc/docker/daemon.json',
      lines: [`{ "registry-mirrors": [${quoted(dockerMirror(facts))}] }`],
    },
  ]
}

/** One block per registry. podman knows no path before `/v2`, so a base path is out of its reach. */
function podman(facts: MirrorFacts): readonly ClientLines[] {
  const shown = facts.defaultUpstream ?? facts.upstreams[0]
  if (shown === undefined || pathOf(facts) !== '') return []
  const file = '/etc/containers/registries.conf.d/oci-mirror.conf'
  const more = facts.upstreams.length > 1 ? ['# and the same for each other registry'] : []
  return [{ client: 'podman', file, lines: [...registryBlock(facts, shown), ...more] }]
}
