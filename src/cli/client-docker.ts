import { DOCKER_HUB } from '../oci/reference.ts'
import type { ClientFile, ClientSetup, MirrorFacts } from './client-setup.ts'
import { hostOf, isPlainHttp, pathOf } from './client-setup.ts'
import { hostsFiles } from './hosts-toml.ts'
import { isLoopback } from './is-loopback.ts'

const DIR = '/etc/docker'
/** A list in daemon.json: where to look for images of Docker Hub first. */
const MIRRORS = 'registry-mirrors'

/**
 * Both of Docker's image stores. The containerd one, which fresh installations have since 29, reads a
 * hosts.toml per registry; the classic one has `registry-mirrors`, for Docker Hub and with fallback only.
 */
export function dockerSetup(facts: MirrorFacts): ClientSetup {
  return {
    dir: DIR,
    files: [daemonJson(facts), ...hostsFiles(facts, DIR, 'certs.d/')],
    notes: [
      'daemon.json takes effect on `systemctl reload docker`, hosts.toml at once',
      'hosts.toml is read by the containerd image store (`docker info` shows ' +
        '"driver-type: io.containerd.snapshotter.v1"), the default of installations since Docker 29',
      facts.fallsBack
        ? `the classic store mirrors ${DOCKER_HUB} only; ${byName(facts)}`
        : 'the classic store always goes on to Docker Hub, so it is not pointed at the mirror; ' +
          byName(facts),
    ],
  }
}

/** Docker puts nothing before `/v2`: the path would become a part of the repository. */
function byName(facts: MirrorFacts): string {
  return pathOf(facts) === ''
    ? `pull what it does not mirror by name: docker pull ${hostOf(facts)}/REGISTRY/IMAGE`
    : 'what it does not mirror cannot be pulled by name either, because the URL of the mirror has a path'
}

/** What a `registry-mirrors` entry says: the path names Docker Hub where nothing else does. */
export function dockerMirror({ url, defaultUpstream }: MirrorFacts): string {
  return defaultUpstream === DOCKER_HUB ? url : `${url}/${DOCKER_HUB}`
}

function daemonJson(facts: MirrorFacts): ClientFile {
  const isMirrored = facts.fallsBack && facts.upstreams.includes(DOCKER_HUB)
  // For names that begin with the mirror's. A mirror's own URL says http, and loopback is trusted anyway.
  const needsTrust = isPlainHttp(facts) && !isLoopback(facts.url)
  const lists = {
    [MIRRORS]: isMirrored ? [dockerMirror(facts)] : [],
    ...(needsTrust && { 'insecure-registries': [hostOf(facts)] }),
  }
  const remark = (others: Readonly<Record<string, readonly string[]>>) =>
    remarkOnMirrors(facts, others[MIRRORS] ?? [])
  return { path: 'daemon.json', lists, remark }
}

/** They may be other people's, so that they are not taken out here. */
function remarkOnMirrors({ fallsBack }: MirrorFacts, others: readonly string[]) {
  if (others.length === 0) return undefined
  const list = `"${MIRRORS}" has ${others.join(', ')}`
  return fallsBack
    ? `${list} as well: take out what is no mirror any more, such as an earlier URL of this one`
    : `${list}, which the classic store asks before it goes on to Docker Hub: take it out`
}
