import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Operations } from '../../src/core/operations.ts'
import { createAdmin } from '../../src/http/admin.ts'
import type { HttpServer } from '../../src/http/server.ts'
import { listen } from '../../src/http/server.ts'
import type { TempDir } from '../support/temp-dir.ts'
import { makeTempDir } from '../support/temp-dir.ts'
import type { Outcome, RunOptions } from './fake-terminal.ts'
import { runHere } from './fake-terminal.ts'

/** Nothing listens there. */
const NOWHERE = 'http://127.0.0.1:9'
const QUIET = { debug() {}, info() {}, warn() {}, error() {} }

/** What those who type commands have: a directory with a configuration, and the data directory that it names. */
export class Workplace {
  readonly dir: TempDir
  /** Empty: no data directory yet. */
  readonly data: TempDir
  readonly #upstream: string
  readonly #more: object
  #admin: HttpServer | undefined

  private constructor(dir: TempDir, data: TempDir, upstream: string, more: object) {
    this.dir = dir
    this.data = data
    this.#upstream = upstream
    this.#more = more
  }

  /** `upstream` is the URL of docker.io; `more` goes into the configuration. No mirror runs. */
  static async make(upstream: string = NOWHERE, more: object = {}): Promise<Workplace> {
    const place = new Workplace(await makeTempDir(), await makeTempDir(), upstream, more)
    await place.configure(false)
    return place
  }

  /** Where the admin listener of the configured mirror is, as HOST:PORT. */
  configure(admin: string | false): Promise<void> {
    const config = {
      admin: { listen: admin },
      storage: { dir: this.data.path, minFree: 0 },
      upstreams: { 'docker.io': { url: this.#upstream } },
      ...this.#more,
    }
    return this.write('mirror.config.json', JSON.stringify(config))
  }

  path(name: string): string {
    return join(this.dir.path, name)
  }

  write(name: string, content: string | Uint8Array): Promise<void> {
    return writeFile(this.path(name), content)
  }

  run(args: readonly string[], options?: RunOptions): Promise<Outcome> {
    return runHere(args, this.dir.path, {}, options)
  }

  /** From now on commands find a mirror that runs. Answers the URL of its admin listener. */
  async serve(operations: Operations, shownAs: string = this.data.path): Promise<string> {
    const admin = createAdmin({
      operations,
      metrics: async () => ({ contentType: 'text/plain', body: '' }),
      data: shownAs,
      names: new Set(),
      log: QUIET,
    })
    this.#admin = await listen({ host: '127.0.0.1', port: 0 }, admin)
    const address = `127.0.0.1:${this.#admin.port}`
    await this.configure(address)
    return `http://${address}`
  }

  async stopServing(): Promise<void> {
    await this.#admin?.drain(0)
    this.#admin = undefined
  }

  async close(): Promise<void> {
    await this.stopServing()
    await this.dir.remove()
    await this.data.remove()
  }
}
