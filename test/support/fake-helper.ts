import { readFile, readdir, rename, writeFile } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { vi } from 'vitest'
import type { TempDir } from './temp-dir.ts'
import { makeTempDir } from './temp-dir.ts'

/** A `docker-credential-NAME` in the PATH until it is closed: a shell script that does as it is told. */
export class FakeHelper {
  readonly name: string
  readonly #dir: TempDir

  private constructor(name: string, dir: TempDir) {
    this.name = name
    this.#dir = dir
  }

  static async start(name = 'fake'): Promise<FakeHelper> {
    const dir = await makeTempDir()
    vi.stubEnv('PATH', `${dir.path}${delimiter}${process.env['PATH']}`)
    return new FakeHelper(name, dir)
  }

  /** What it says from now on. */
  async answer(username: string, secret: string): Promise<void> {
    const text = JSON.stringify({ ServerURL: 'any', Username: username, Secret: secret })
    await this.runs(`cat <<'END'\n${text}\nEND`)
  }

  /** What it does from now on, in shell, after it has noted how it was called. */
  async runs(body: string): Promise<void> {
    const path = join(this.#dir.path, `docker-credential-${this.name}`)
    const notes = `read -r server; echo "$1 $server" > "${this.#dir.path}/call.$$"`
    await writeFile(`${path}.new`, `#!/bin/sh\n${notes}\n${body}\n`, { mode: 0o755 })
    // In one piece: it may be called at any moment.
    await rename(`${path}.new`, path)
  }

  /** `get SERVER` for each time it was called. */
  async calls(): Promise<readonly string[]> {
    const files = (await readdir(this.#dir.path)).filter((file) => file.startsWith('call.'))
    const texts = files.map((file) => readFile(join(this.#dir.path, file), 'utf8'))
    return (await Promise.all(texts)).map((text) => text.trim())
  }

  /** Makes an empty file that the script waits for. */
  async touch(file: string): Promise<void> {
    await writeFile(this.path(file), '')
  }

  /** For what the script writes. */
  path(file: string): string {
    return join(this.#dir.path, file)
  }

  async close(): Promise<void> {
    vi.unstubAllEnvs()
    await this.#dir.remove()
  }
}
