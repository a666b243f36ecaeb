import { describe, expect, it } from 'vitest'
import { createMetrics } from '../src/observe/metrics.ts'
import { createLogger } from '../src/observe/logger.ts'
import { UpstreamFailure } from '../src/core/upstream-failure.ts'
import type { Digest } from '../src/oci/digest.ts'
import type { RepositoryName, Tag } from '../src/oci/reference.ts'
import { openUpstreams } from '../src/wire-upstreams.ts'
import { load } from './config/load.ts'

const NAME = 'team/app' as RepositoryName
const DIGEST = `sha256:${'0'.repeat(64)}` as Digest
const TAG = { kind: 'tag', tag: '1' as Tag } as const

async function open(upstreams: object) {
  const { config } = await load({ upstreams })
  const store = {
    totals: async () => ({ bytes: 0, blobs: 0 }),
    space: async () => ({ total: 0, free: 0 }),
    maxSize: undefined,
  }
  const metrics = createMetrics({ version: '0', upstreams: [...config.upstreams.keys()], store })
  const logger = createLogger({ level: 'silent', format: 'json' })
  const entries = [...openUpstreams(config, logger, metrics)]
  return { entries, metrics: async () => (await metrics.render()).body }
}

describe('an upstream that is configured to be offline', () => {
  it('has no client that could ask anybody, for whatever purpose', async () => {
    const auth = { helper: 'not-installed' }
    const { entries } = await open({ 'a.example': { mode: 'offline', auth, access: 'shared' } })
    expect(entries.map(([, { mode, isPublic }]) => ({ mode, isPublic }))).toEqual([
      { mode: 'offline', isPublic: false },
    ])
    const { signal } = new AbortController()
    for (const [, { client, background }] of entries) {
      for (const lane of [client, background]) {
        const requests = [
          lane.headManifest(NAME, TAG, signal),
          lane.getManifest(NAME, TAG, signal),
          lane.getBlob(NAME, DIGEST, signal),
          lane.resumeBlob(NAME, DIGEST, { start: 1, size: undefined }, signal),
          lane.getBlobRange(NAME, DIGEST, { start: 0, end: 1 }, signal),
          lane.probeBlob(NAME, DIGEST, signal),
          lane.listTags(NAME, { limit: undefined, last: undefined }, signal),
          lane.listReferrers(NAME, DIGEST, signal),
        ]
        for (const request of requests) {
          const failure = await request.catch((reason: unknown) => reason)
          expect(failure).toBeInstanceOf(UpstreamFailure)
          expect(failure).toMatchObject({ kind: 'offline', wasAsked: false })
        }
        expect(lane.state().endpoints).toEqual([])
        await lane.close()
      }
    }
  })

  it('is not counted among those that are up or down', async () => {
    const { metrics, entries } = await open({
      'a.example': { mode: 'offline' },
      'b.example': { mode: 'cache-first' },
    })
    const up = (await metrics())
      .split('\n')
      .filter((line) => /^oci_mirror_upstream_up\b/.test(line))
    expect(up).toEqual(['oci_mirror_upstream_up{upstream="b.example"} 1'])
    await Promise.all(entries.map(([, { client }]) => client.close()))
  })
})
