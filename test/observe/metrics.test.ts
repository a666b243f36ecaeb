import { beforeAll, describe, expect, it } from 'vitest'
import type { DiskState } from '../../src/core/disk-health.ts'
import type { UpstreamState } from '../../src/core/upstream-state.ts'
import type { Metrics } from '../../src/observe/metrics.ts'
import { createMetrics } from '../../src/observe/metrics.ts'
import type { UpstreamName } from '../../src/oci/reference.ts'
import type { Family } from './exposition.ts'
import { openLanesFor } from '../upstream/open-for.ts'
import { parseExposition, seriesOf } from './exposition.ts'

const HUB = 'docker.io' as UpstreamName
const QUAY = 'quay.io'

/** What the metrics look at while they are read. */
class World {
  circuit: 'closed' | 'open' | 'half-open' = 'closed'
  remaining: number | undefined = undefined
  isDiskBroken = false

  state(): UpstreamState {
    const { circuit, remaining } = this
    return {
      endpoints: [
        {
          host: 'registry-1.docker.io',
          circuit: { name: circuit, since: 0, until: undefined, reason: undefined },
          rateLimit:
            remaining === undefined
              ? undefined
              : { limit: 100, remaining, window: 21_600, toldAt: 0 },
        },
      ],
      isSaving: false,
      underWay: 3,
      queued: 1,
      background: 2,
    }
  }
}

function metricsOf(world: World): Metrics {
  const metrics = createMetrics({
    version: '1.2.3',
    upstreams: [HUB, QUAY],
    store: {
      totals: async () => ({ bytes: 5000, blobs: 7 }),
      space: async () => {
        if (world.isDiskBroken) throw new Error('EIO')
        return { total: 1000, free: 400 }
      },
      maxSize: 9000,
    },
  })
  for (const name of [HUB, QUAY]) {
    const { client, background } = openLanesFor({ url: 'http://127.0.0.1:1' })
    const state = () => world.state()
    metrics.upstreams.watch(name, { client: { ...client, state }, background })
  }
  return metrics
}

async function read(metrics: Metrics): Promise<ReadonlyMap<string, Family>> {
  return parseExposition((await metrics.render()).body)
}

/** The value of the one sample with exactly these labels. */
function valueOf(
  families: ReadonlyMap<string, Family>,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): number | undefined {
  const samples = [...families.values()].flatMap((family) => family.samples)
  const wanted = seriesOf(name, labels)
  return samples.find((sample) => seriesOf(sample.name, sample.labels) === wanted)?.value
}

const ANSWERED = { method: 'GET', ms: 40, status: 200, bytes: 100, isCut: false }

describe('the metrics', () => {
  let world: World
  let metrics: Metrics

  beforeAll(() => {
    world = new World()
    metrics = metricsOf(world)
  })

  it('are in the text format that Prometheus reads', async () => {
    const { contentType, body } = await metrics.render()
    expect(contentType).toBe('text/plain; version=0.0.4; charset=utf-8')
    const names = [...parseExposition(body).keys()]
    expect(names).toEqual(
      expect.arrayContaining([
        'oci_mirror_build_info',
        'process_resident_memory_bytes',
        'process_open_fds',
        'nodejs_eventloop_lag_p99_seconds',
        'nodejs_eventloop_utilization_summary',
        'nodejs_gc_duration_seconds',
      ]),
    )
    const foreign = names.filter((name) => !/^(oci_mirror|process|nodejs)_/.test(name))
    expect(foreign).toEqual([])
  })

  it('begin at zero for each upstream, so that the first event of a kind is a change', async () => {
    const families = await read(metrics)
    for (const upstream of [HUB, QUAY]) {
      for (const kind of ['manifest', 'blob', 'tags', 'referrers']) {
        for (const outcome of ['hit', 'joined', 'miss', 'stale', 'denied', 'absent', 'failed']) {
          expect(valueOf(families, 'oci_mirror_requests_total', { upstream, kind, outcome })).toBe(
            0,
          )
        }
      }
      expect(valueOf(families, 'oci_mirror_flights_total', { upstream, result: 'wrong' })).toBe(0)
      const served = { upstream, kind: 'blob', source: 'cache' }
      expect(valueOf(families, 'oci_mirror_served_bytes_total', served)).toBe(0)
      const issued = { upstream, result: 'issued' }
      expect(valueOf(families, 'oci_mirror_token_requests_total', issued)).toBe(0)
      const asked = { upstream, kind: 'blob' }
      expect(valueOf(families, 'oci_mirror_upstream_request_duration_seconds_count', asked)).toBe(0)
    }
  })

  it('tell how full the cache and its disk are, and go on when the disk cannot be read', async () => {
    const sound = await read(metricsOf(world))
    expect(valueOf(sound, 'oci_mirror_cache_bytes')).toBe(5000)
    expect(valueOf(sound, 'oci_mirror_cache_max_bytes')).toBe(9000)
    expect(valueOf(sound, 'oci_mirror_cache_blobs')).toBe(7)
    expect(valueOf(sound, 'oci_mirror_disk_free_bytes')).toBe(400)
    expect(valueOf(sound, 'oci_mirror_disk_total_bytes')).toBe(1000)
    world.isDiskBroken = true
    expect(valueOf(await read(metrics), 'oci_mirror_disk_free_bytes')).toBeNaN()
    world.isDiskBroken = false
  })

  it('tell for which reason the disk takes no downloads, and zero while it does', async () => {
    const own = metricsOf(new World())
    const refusing = async () => {
      const families = await read(own)
      return ['full', 'broken'].map((reason) =>
        valueOf(families, 'oci_mirror_disk_refusing', { reason }),
      )
    }
    expect(await refusing()).toEqual([0, 0])
    let state: DiskState = { kind: 'full', since: 0, reason: 'ENOSPC' }
    own.watchDisk(() => state)
    expect(await refusing()).toEqual([1, 0])
    state = { kind: 'broken', since: 0, reason: 'EROFS' }
    expect(await refusing()).toEqual([0, 1])
    state = { kind: 'ok' }
    expect(await refusing()).toEqual([0, 0])
  })

  it('show what an upstream is like at the moment', async () => {
    const endpoint = { upstream: HUB, endpoint: 'registry-1.docker.io' }
    const before = await read(metrics)
    expect(valueOf(before, 'oci_mirror_upstream_up', { upstream: HUB })).toBe(1)
    expect(valueOf(before, 'oci_mirror_upstream_circuit_open', endpoint)).toBe(0)
    expect(valueOf(before, 'oci_mirror_upstream_ratelimit_remaining', endpoint)).toBeUndefined()
    world.circuit = 'open'
    world.remaining = 17
    const families = await read(metrics)
    expect(valueOf(families, 'oci_mirror_upstream_up', { upstream: HUB })).toBe(0)
    expect(valueOf(families, 'oci_mirror_upstream_circuit_open', endpoint)).toBe(1)
    expect(valueOf(families, 'oci_mirror_upstream_ratelimit_remaining', endpoint)).toBe(17)
    expect(valueOf(families, 'oci_mirror_upstream_ratelimit_limit', endpoint)).toBe(100)
    const queued = { upstream: HUB, stage: 'queued' }
    expect(valueOf(families, 'oci_mirror_upstream_requests_in_flight', queued)).toBe(1)
    const behind = { upstream: HUB, stage: 'background' }
    expect(valueOf(families, 'oci_mirror_upstream_requests_in_flight', behind)).toBe(2)
  })

  it.each([
    [200, { outcome: 'hit' }, 'hit'],
    [304, { outcome: 'revalidated' }, 'revalidated'],
    [206, { outcome: 'miss' }, 'miss'],
    [403, { outcome: 'denied' }, 'denied'],
    [404, {}, 'absent'],
    [416, { outcome: 'hit' }, 'refused'],
    [499, {}, 'left'],
    [503, {}, 'failed'],
    [200, {}, 'left'],
  ] as const)('count an answer of status %i with %j as %s', async (status, subject, outcome) => {
    const labels = { upstream: HUB, kind: 'manifest', outcome }
    const before = valueOf(await read(metrics), 'oci_mirror_requests_total', labels) ?? 0
    metrics.requests.arrived()
    metrics.requests.answered({
      ...ANSWERED,
      status,
      subject: { upstream: HUB, kind: 'manifest', ...subject },
    })
    const after = await read(metrics)
    expect(valueOf(after, 'oci_mirror_requests_total', labels)).toBe(before + 1)
    expect(valueOf(after, 'oci_mirror_http_requests_in_flight')).toBe(0)
  })

  it('tell bytes that were here from bytes that came from upstream, and who cut an answer', async () => {
    const blob = { upstream: QUAY, kind: 'blob' } as const
    const requests = [
      { ...ANSWERED, subject: { ...blob, outcome: 'hit' } },
      { ...ANSWERED, bytes: 30, isCut: true, subject: { ...blob, outcome: 'joined' } },
      {
        ...ANSWERED,
        bytes: 4,
        isCut: true,
        subject: { ...blob, outcome: 'miss', error: new Error('wrong bytes') },
      },
      { ...ANSWERED, bytes: 9, status: 404, subject: blob },
    ] as const
    for (const request of requests) {
      metrics.requests.arrived()
      metrics.requests.answered(request)
    }
    const families = await read(metrics)
    const served = (source: string) =>
      valueOf(families, 'oci_mirror_served_bytes_total', { ...blob, source })
    expect([served('cache'), served('upstream')]).toEqual([100, 34])
    const cut = (by: string) => valueOf(families, 'oci_mirror_cut_answers_total', { ...blob, by })
    expect([cut('client'), cut('mirror')]).toEqual([1, 1])
  })

  it('count what was asked of upstreams, and how downloads and evictions ended', async () => {
    const asked = { upstream: HUB, ms: 20 }
    metrics.upstreams.asked({ ...asked, kind: 'token', status: 200 })
    metrics.upstreams.asked({ ...asked, kind: 'token', status: 401 })
    metrics.upstreams.asked({ ...asked, kind: 'token', status: undefined })
    metrics.events.flightEnded(HUB, 'wrong')
    metrics.events.evicted(250)
    const families = await read(metrics)
    for (const result of ['issued', 'refused', 'failed']) {
      const labels = { upstream: HUB, result }
      expect(valueOf(families, 'oci_mirror_token_requests_total', labels)).toBe(1)
    }
    const none = { upstream: HUB, kind: 'token', code: 'none' }
    expect(valueOf(families, 'oci_mirror_upstream_requests_total', none)).toBe(1)
    const wrong = { upstream: HUB, result: 'wrong' }
    expect(valueOf(families, 'oci_mirror_flights_total', wrong)).toBe(1)
    expect(valueOf(families, 'oci_mirror_cache_evictions_total')).toBe(1)
    expect(valueOf(families, 'oci_mirror_cache_evicted_bytes_total')).toBe(250)
  })

  it('grow no series from what clients and upstreams say', async () => {
    const own = metricsOf(new World())
    const say = (n: number): void => {
      own.requests.arrived()
      own.requests.answered({
        ...ANSWERED,
        method: `M${n}`,
        status: 400,
        subject: { error: new Error(`${n}`) },
      })
      own.upstreams.asked({ upstream: HUB, kind: 'blob', status: 600 + n, ms: n })
    }
    say(0)
    const count = async () => {
      const families = await read(own)
      return [...families].flatMap(([name, { samples }]) =>
        name.startsWith('oci_mirror_') ? samples : [],
      ).length
    }
    const before = await count()
    for (let n = 1; n < 500; n += 1) say(n)
    expect(await count()).toBe(before)
    for (const { samples } of (await read(own)).values()) {
      for (const { labels } of samples) {
        for (const name of ['repository', 'tag', 'client', 'digest']) {
          expect(labels).not.toHaveProperty(name)
        }
      }
    }
  })
})
