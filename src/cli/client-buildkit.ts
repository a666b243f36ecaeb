import type { ClientSetup, MirrorFacts } from './client-setup.ts'
import { commented, hostOf, isPlainHttp, pathOf, quoted } from './client-setup.ts'

const DIR = '/etc/buildkit'
const FILE = 'buildkitd.toml'

export function buildkitSetup(facts: MirrorFacts): ClientSetup {
  if (!facts.fallsBack) {
    return {
      refusal:
        'BuildKit always goes on to the registry itself when its mirrors have failed, and no setting ' +
        'changes that: leave --no-fallback out, and keep it off the network if it must not reach it',
    }
  }
  if (pathOf(facts) !== '') {
    return {
      refusal:
        `BuildKit puts nothing before /v2, so it cannot reach a mirror at ${facts.url}: ` +
        'give the mirror a host name of its own (server.publicUrl or --url) instead of a base path',
    }
  }
  const host = hostOf(facts)
  // A host and no URL: the scheme is a matter of the host's own section.
  const mirrors = facts.upstreams.flatMap((upstream) => [
    '',
    `[registry.${quoted(upstream)}]`,
    `  mirrors = [${quoted(host)}]`,
  ])
  const plain = isPlainHttp(facts) ? ['', `[registry.${quoted(host)}]`, '  http = true'] : []
  return {
    dir: DIR,
    files: [{ path: FILE, text: commented(`${DIR}/${FILE}`, [...mirrors, ...plain]) }],
    notes: [
      'restart buildkitd after that; for a builder in a container: ' +
        `docker buildx create --driver docker-container --buildkitd-config ${FILE}`,
      "dockerd's own builder does not read it: use `client-config docker` for that one",
    ],
  }
}
