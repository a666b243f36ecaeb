import type { ClientFile, ClientSetup, MirrorFacts } from './client-setup.ts'
import { commented, pathOf, quoted } from './client-setup.ts'

const DIR = '/etc/rancher/k3s'
const NO_FALLBACK_FILE = 'config.yaml.d/oci-mirror.yaml'

/** RKE2 reads the same files below /etc/rancher/rke2. */
export function k3sSetup(facts: MirrorFacts): ClientSetup {
  const path = 'registries.yaml'
  // A path of the URL is taken for the whole path of the API, `/v2` and all.
  const endpoint = pathOf(facts) === '' ? facts.url : `${facts.url}/v2`
  const lines = facts.upstreams.flatMap((upstream) => [
    `  ${quoted(upstream)}:`,
    '    endpoint:',
    `      - ${quoted(endpoint)}`,
  ])
  const registries = { path, text: commented(`${DIR}/${path}`, ['mirrors:', ...lines]) }
  return {
    dir: DIR,
    files: [registries, ...(facts.fallsBack ? [] : [noFallbackFile()])],
    notes: [
      'k3s reads them when it starts: systemctl restart k3s (or k3s-agent), on every node',
      'RKE2 reads the same files in /etc/rancher/rke2',
    ],
  }
}

/** A file of its own: config.yaml is the operator's. Servers and agents since January 2024 know the key. */
function noFallbackFile(): ClientFile {
  const lines = ['disable-default-registry-endpoint: true']
  return { path: NO_FALLBACK_FILE, text: commented(`${DIR}/${NO_FALLBACK_FILE}`, lines) }
}
