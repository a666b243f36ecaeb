import { DOCKER_HUB } from '../oci/reference.ts'
import type { ClientFile, ClientSetup, MirrorFacts } from './client-setup.ts'
import { hostOf, isPlainHttp } from './client-setup.ts'
import { hostsFiles } from './hosts-toml.ts'
import { isLoopback } from './is-loopback.ts'

const DIR = '/etc/docker'

/**
 * Both of Docker's image stores. The containerd one, which fresh installations have since 29, reads a
 * hosts.toml per registry; the classic one has `registry-mirrors`, for Docker Hub and with fallback only.
 */
export function dockerSetup(facts: MirrorFacts): ClientSetup {
  return {
    dir: DIR,
    files: [...daemonJson(facts), ...hostsFiles(facts, DIR, 'certs.d/')],
    notes: [
      'daemon.json takes effect on `systemctl reload docker`, hosts.toml at once',
      'hosts.toml is read by the containerd image store (`docker info` shows ' +
        '"driver-type: io.containerd.snapshotter.v1"), the default of installations since Docker 29',
      facts.fallsBack
        ? `the classic store mirrors ${DOCKER_HUB} only; pull from other registries through the ` +
          `mirror by name: docker pull ${hostOf(facts)}/REGISTRY/IMAGE`
        : 'the classic store always goes on to Docker Hub, so it is not pointed at the mirror: ' +
          `pull by name instead: docker pull ${hostOf(facts)}/REGISTRY/IMAGE`,
    ],
  }
}

/** What a `registry-mirrors` entry says: the path names Docker Hub where nothing else does. */
export function dockerMirror({ url, defaultUpstream }: MirrorFacts): string {
  return defaultUpstream === DOCKER_HUB ? url : `${url}/${DOCKER_HUB}`
}

function daemonJson(facts: MirrorFacts): readonly ClientFile[] {
  const isMirrored = facts.fallsBack && facts.upstreams.includes(DOCKER_HUB)
  // For names that begin with the mirror's. A mirror's own URL says http, and loopback is trusted anyway.
  const needsTrust = isPlainHttp(facts) && !isLoopback(facts.url)
  const lists = {
    ...(isMirrored && { 'registry-mirrors': [dockerMirror(facts)] }),
    ...(needsTrust && { 'insecure-registries': [hostOf(facts)] }),
  }
  return Object.keys(lists).length === 0 ? [] : [{ path: 'daemon.json', lists }]
}
