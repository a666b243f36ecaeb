import type { UpstreamName } from '../oci/reference.ts'
import type { ClientFile, MirrorFacts } from './client-setup.ts'
import { commented, quoted } from './client-setup.ts'

/**
 * One file per registry, so that the client asks the mirror only for what it mirrors. The client adds
 * `ns=<registry>` to what it asks the mirror.
 */
export function hostsFiles(facts: MirrorFacts, dir: string, below = ''): readonly ClientFile[] {
  return facts.upstreams.map((upstream) => {
    const path = `${below}${upstream}/hosts.toml`
    return { path, text: commented(`${dir}/${path}`, hostsToml(facts, upstream)) }
  })
}

/**
 * containerd's docs/hosts.md. What is asked after the hosts is `server`: by default the registry itself. Its
 * short form without any host is not for 1.6, which calls the file invalid and asks the registry itself.
 */
function hostsToml({ url, fallsBack }: MirrorFacts, upstream: UpstreamName): readonly string[] {
  const host = [`[host.${quoted(url)}]`, '  capabilities = ["pull", "resolve"]']
  // Else a mirror that is unreachable holds up each pull for 30 s. Releases that do not know it ignore it.
  if (fallsBack) return [...host, '  dial_timeout = "3s"']
  return [
    `# The last to be asked for ${upstream} is the mirror too, and so never the registry itself.`,
    `server = ${quoted(url)}`,
    '',
    ...host,
  ]
}
