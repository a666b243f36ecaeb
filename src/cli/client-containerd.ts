import type { ClientSetup, MirrorFacts } from './client-setup.ts'
import { hostsFiles } from './hosts-toml.ts'

const DIR = '/etc/containerd/certs.d'

/** Also nerdctl, and Kubernetes on containerd. */
export function containerdSetup(facts: MirrorFacts): ClientSetup {
  return {
    dir: DIR,
    files: hostsFiles(facts, DIR),
    notes: [
      `containerd reads ${DIR} only if /etc/containerd/config.toml says config_path = "${DIR}" ` +
        '(2.x: under [plugins."io.containerd.cri.v1.images".registry], ' +
        '1.x: [plugins."io.containerd.grpc.v1.cri".registry]); restart it once after that',
      'it needs no restart for changes of a hosts.toml',
    ],
  }
}
