import type { Upstream } from '../../src/core/upstream.ts'
import type { Lanes } from '../../src/core/upstream-entry.ts'
import type { RegistryOptions, UpstreamDeps } from '../../src/upstream/options.ts'
import { FakeRegistry } from '../support/fake-registry.ts'
import { openFor, openLanesFor } from './open-for.ts'

export type FakeOptions = NonNullable<Parameters<typeof FakeRegistry.start>[0]>

/** What one test opened; `close()` after it closes everything. */
export class Opened {
  readonly #all: { close(): Promise<void> }[] = []

  async registry(options: FakeOptions = {}): Promise<FakeRegistry> {
    const registry = await FakeRegistry.start(options)
    this.#all.push(registry)
    return registry
  }

  upstream(
    registry: Pick<FakeRegistry, 'url'>,
    options: Partial<RegistryOptions> = {},
    deps: Partial<UpstreamDeps> = {},
  ): Upstream {
    const upstream = openFor(registry, options, deps)
    this.#all.push(upstream)
    return upstream
  }

  /** One registry in its two lanes. */
  lanes(registry: Pick<FakeRegistry, 'url'>, options: Partial<RegistryOptions> = {}): Lanes {
    const lanes = openLanesFor(registry, options)
    this.#all.push(lanes.client)
    return lanes
  }

  /** Something else that is to be closed. */
  add(one: { close(): Promise<void> }): void {
    this.#all.push(one)
  }

  async close(): Promise<void> {
    await Promise.all(this.#all.splice(0).map((one) => one.close()))
  }
}
