import type { Stage, UpstreamName } from '../support/stage.ts'
import { BASIC, HUB, TOKEN, TOKEN_ALIAS, V3 } from '../support/stage.ts'
import { createBuildah, createPodman, createSkopeo } from './containers-image.ts'
import type { Daemons } from './daemons.ts'
import { createCrane, createHelm, createOras, createRegctl } from './explicit-name.ts'
import type { PullClient } from './pull-client.ts'
import { createReplay } from './replay.ts'

/** A client, how it says which registry it means, and which one it means. */
export interface Row {
  readonly client: string
  readonly addressing: string
  readonly upstream: UpstreamName
  /** Default: images, one of them for two platforms. */
  readonly content?: 'chart' | 'artifact'
  /** Whether it asks the real registry after a 404 of the mirror. */
  readonly goesOn: boolean
  readonly open: (set: OpenOptions) => PullClient | Promise<PullClient>
}

interface OpenOptions {
  readonly stage: Stage
  readonly daemons: Daemons
  /** A folder of its own, which need not exist. */
  readonly dir: string
}

export const ROWS: readonly Row[] = [
  ...containerdRows(),
  ...dockerRows(),
  ...containersImageRows(),
  ...explicitNameRows(),
  ...buildkitRows(),
]

function containerdRows(): readonly Row[] {
  const ns = { addressing: 'ns', goesOn: true }
  const v1 = { client: 'containerd 1.6' }
  const v2 = { client: 'containerd 2, transfer' }
  const generated1: Row['open'] = ({ daemons: { containerd1, hostsDir } }) =>
    containerd1.client({ hostsDir })
  const generated2: Row['open'] = ({ daemons: { containerd2, hostsDir } }) =>
    containerd2.client({ hostsDir })
  const local: Row['open'] = ({ daemons: { containerd2, hostsDir } }) =>
    containerd2.client({ hostsDir, pullOptions: ['--local'] })
  return [
    { ...v1, ...ns, upstream: HUB, open: generated1 },
    { ...v1, ...ns, upstream: TOKEN, open: generated1 },
    { ...v1, ...ns, upstream: BASIC, open: generated1 },
    { ...v1, ...ns, upstream: V3, open: generated1 },
    {
      ...v1,
      addressing: 'path before /v2, and ns',
      upstream: HUB,
      goesOn: false,
      open: ({ daemons: { containerd1, hostsBeforeV2: hostsDir } }) =>
        containerd1.client({ hostsDir }),
    },
    { ...v2, ...ns, upstream: HUB, open: generated2 },
    { ...v2, ...ns, upstream: TOKEN, open: generated2 },
    {
      ...v2,
      addressing: 'path prefix, and ns (as k3s, Talos)',
      upstream: HUB,
      goesOn: false,
      open: ({ daemons: { containerd2, hostsBehindV2: hostsDir } }) =>
        containerd2.client({ hostsDir }),
    },
    {
      ...ns,
      client: 'containerd 2, parallel ranges',
      upstream: HUB,
      open: ({ daemons: { containerd2Parallel, hostsDir } }) =>
        containerd2Parallel.client({ hostsDir }),
    },
    { ...ns, client: 'containerd 2, --local', upstream: HUB, open: local },
    { ...ns, client: 'containerd 2, --local', upstream: V3, open: local },
  ]
}

function dockerRows(): readonly Row[] {
  const client = 'Docker'
  return [
    {
      client,
      addressing: 'default upstream',
      upstream: HUB,
      goesOn: true,
      open: ({ daemons: { docker } }) => docker.client(),
    },
    {
      client,
      addressing: 'explicit name (alias)',
      upstream: TOKEN,
      goesOn: false,
      open: ({ daemons: { docker }, stage: { mirror } }) =>
        docker.client(`${mirror.host}/${TOKEN_ALIAS}`),
    },
  ]
}

function containersImageRows(): readonly Row[] {
  const open =
    (create: typeof createPodman): Row['open'] =>
    ({ stage: { outside }, daemons: { registriesConf }, dir }) =>
      create({ dir, registriesConf, env: outside.env })
  const mirrored = { addressing: 'path prefix', goesOn: true }
  const podman = { client: 'podman', ...mirrored, open: open(createPodman) }
  const buildah = { client: 'buildah', ...mirrored, open: open(createBuildah) }
  const skopeo = { client: 'skopeo', ...mirrored, open: open(createSkopeo) }
  return [
    { ...podman, upstream: HUB },
    { ...podman, upstream: V3 },
    { ...buildah, upstream: HUB },
    { ...buildah, upstream: BASIC },
    { ...skopeo, upstream: HUB },
    { ...skopeo, upstream: TOKEN },
  ]
}

function explicitNameRows(): readonly Row[] {
  const open =
    (create: typeof createCrane, prefix: string): Row['open'] =>
    ({ stage: { mirror, outside }, dir }) =>
      create({ dir, place: `${mirror.host}${prefix}`, env: outside.env })
  const named = { addressing: 'explicit name', goesOn: false }
  const aliased = { addressing: 'explicit name (alias)', goesOn: false }
  const crane = { client: 'crane' }
  const hub = `/${HUB}`
  return [
    { ...crane, ...named, upstream: HUB, open: open(createCrane, hub) },
    { ...crane, ...named, upstream: BASIC, open: open(createCrane, `/${BASIC}`) },
    { ...crane, ...named, upstream: V3, open: open(createCrane, `/${V3}`) },
    { ...crane, ...aliased, upstream: TOKEN, open: open(createCrane, `/${TOKEN_ALIAS}`) },
    {
      ...crane,
      addressing: 'default upstream',
      goesOn: false,
      upstream: HUB,
      open: open(createCrane, ''),
    },
    { client: 'regctl', ...named, upstream: HUB, open: open(createRegctl, hub) },
    { client: 'helm', ...named, upstream: HUB, content: 'chart', open: open(createHelm, hub) },
    {
      client: 'oras (Python)',
      ...named,
      upstream: HUB,
      content: 'artifact',
      open: open(createOras, hub),
    },
  ]
}

/** Its mirrors are hosts, as `oci-mirror client-config` writes them, or hosts with a path. */
function buildkitRows(): readonly Row[] {
  const open =
    (prefix: string): Row['open'] =>
    ({ stage: { mirror } }) =>
      createReplay({ port: mirror.port, prefix, userAgent: 'buildkit/v0.31' })
  const replayed = { client: 'BuildKit (replayed)', goesOn: false }
  return [
    { ...replayed, addressing: 'ns', upstream: TOKEN, open: open('') },
    { ...replayed, addressing: 'path prefix, and ns', upstream: HUB, open: open(`${HUB}/`) },
  ]
}
