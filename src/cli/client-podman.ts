import type { UpstreamName } from '../oci/reference.ts'
import type { ClientSetup, MirrorFacts } from './client-setup.ts'
import { commented, hostOf, isPlainHttp, pathOf, quoted } from './client-setup.ts'

const DIR = '/etc/containers/registries.conf.d'
const FILE = 'oci-mirror.conf'

/** Also buildah, skopeo and CRI-O: containers-registries.conf(5). */
export function podmanSetup(facts: MirrorFacts): ClientSetup {
  if (pathOf(facts) !== '') {
    return {
      refusal:
        `podman puts nothing before /v2, so it cannot reach a mirror at ${facts.url}: ` +
        'give the mirror a host name of its own (server.publicUrl or --url) instead of a base path',
    }
  }
  const reachable = facts.upstreams.filter((upstream) => pathName(facts, upstream) !== undefined)
  const unreachable = facts.upstreams.filter((upstream) => !reachable.includes(upstream))
  const lines = reachable.flatMap((upstream) => ['', ...registryBlock(facts, upstream)])
  return {
    dir: DIR,
    files: [{ path: FILE, text: commented(`${DIR}/${FILE}`, lines) }],
    notes: [
      'podman, buildah and skopeo read it at each run; CRI-O after `systemctl reload crio`',
      'short names (podman pull alpine) are mirrored as the registry that they turn out to mean: ' +
        'see unqualified-search-registries in registries.conf',
      ...unreachable.map(
        (upstream) =>
          `podman cannot have the port of ${upstream} inside a path: give the upstream an alias ` +
          '(aliases in the configuration), and it will be used here',
      ),
    ],
  }
}

/** Nothing for a registry that podman has no way to name in the mirror's path. */
export function registryBlock(facts: MirrorFacts, upstream: UpstreamName): readonly string[] {
  const name = pathName(facts, upstream)
  if (name === undefined) return []
  const location = `location = ${quoted(`${hostOf(facts)}/${name}`)}`
  const mirror = isPlainHttp(facts) ? [location, 'insecure = true'] : [location]
  const prefix = ['[[registry]]', `prefix = ${quoted(upstream)}`]
  // Without a mirror, `location` replaces the registry itself, and nothing is left to fall back to.
  if (!facts.fallsBack) return [...prefix, ...mirror]
  return [...prefix, `location = ${quoted(upstream)}`, '[[registry.mirror]]', ...mirror]
}

/** An image name has a port behind its host only: `host/registry.corp:5000/x` is none, for podman. */
function pathName({ aliases }: MirrorFacts, upstream: UpstreamName): string | undefined {
  return [upstream, ...(aliases.get(upstream) ?? [])].find((name) => !name.includes(':'))
}
