import { afterEach, describe, expect, it, vi } from 'vitest'
import { findPeers } from '../../../bench/peers/find-peers.ts'

afterEach(() => vi.unstubAllEnvs())

describe('the peers', () => {
  it('are found with the version that they say', async () => {
    const { peers, missing } = await findPeers(['oci-mirror'])
    expect(peers[0]?.version).toMatch(/^\d+\.\d+\.\d+, Node \d+/)
    expect(missing).toEqual([])
  })

  it('that nobody named are missing, and it is said what to do', async () => {
    vi.stubEnv('BENCH_ZOT', undefined)
    const reason = 'set BENCH_ZOT to the path of its binary'
    expect(await findPeers(['zot'])).toEqual({ peers: [], missing: [{ name: 'zot', reason }] })
  })

  it('that cannot be started are missing, and the others are found', async () => {
    vi.stubEnv('BENCH_ZOT', '/nowhere/zot')
    const { peers, missing } = await findPeers(['zot', 'oci-mirror'])
    expect(peers.map(({ name }) => name)).toEqual(['oci-mirror'])
    expect(missing[0]?.reason).toContain('/nowhere/zot')
  })

  it('that there are not are an error', async () => {
    await expect(findPeers(['harbor'])).rejects.toThrow('There is no peer harbor: oci-mirror, ')
  })
})
