import type { Config } from '../config/config.ts'
import { DOCKER_HUB } from '../oci/reference.ts'

/** A file of a client's configuration, and what to write into it. */
export interface ClientLines {
  readonly client: string
  readonly file: string
  readonly lines: readonly string[]
}

/** What points containerd, Docker and podman at the mirror, each as far as it can be pointed. */
export function clientLines(config: Config, url: string): readonly ClientLines[] {
  return [containerd(url), ...docker(config, url), ...podman(config, url)]
}

/** `_default` is asked about every registry; containerd names the one that is meant in `?ns=`. */
function containerd(url: string): ClientLines {
  return {
    client: 'containerd',
    file: '/etc/containerd/certs.d/_default/hosts.toml',
    lines: [`[host."${url}"]`, '  capabilities = ["pull", "resolve"]'],
  }
}

/** Docker mirrors Docker Hub only, and does not say so in its requests unless the path does. */
function docker(config: Config, url: string): readonly ClientLines[] {
  if (!config.upstreams.has(DOCKER_HUB)) return []
  const mirror = config.defaultUpstream === DOCKER_HUB ? url : `${url}/${DOCKER_HUB}`
  return [
    {
      client: 'Docker',
      file: '/etc/docker/daemon.json',
      lines: [`{ "registry-mirrors": ["${mirror}"] }`],
    },
  ]
}

/** One block per registry. podman knows no path before `/v2`, so a base path is out of its reach. */
function podman(config: Config, url: string): readonly ClientLines[] {
  const { protocol, host, pathname } = new URL(url)
  if (pathname !== '/') return []
  const [first, ...others] = [...config.upstreams.keys()]
  const shown = config.defaultUpstream ?? first
  if (shown === undefined) return []
  const lines = [
    '[[registry]]',
    `location = "${shown}"`,
    '[[registry.mirror]]',
    `location = "${host}/${shown}"`,
    ...(protocol === 'http:' ? ['insecure = true'] : []),
    ...(others.length > 0 ? ['# and the same for each other registry'] : []),
  ]
  return [{ client: 'podman', file: '/etc/containers/registries.conf.d/mirror.conf', lines }]
}
