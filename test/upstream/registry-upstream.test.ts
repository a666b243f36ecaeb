import { upstreamConformance } from '../conformance/upstream.ts'
import { FakeRegistry } from '../support/fake-registry.ts'
import { openFor } from './open-for.ts'

upstreamConformance('openUpstream', async (options) => {
  const registry = await FakeRegistry.start(options)
  const upstream = openFor(registry)
  return {
    registry,
    upstream,
    async close() {
      await upstream.close()
      await registry.close()
    },
  }
})
