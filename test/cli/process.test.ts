import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openDataDirectory } from '../../src/store/data-directory.ts'
import { startStocked } from '../airgap/export/stocked-mirror.ts'
import type { TempDir } from '../support/temp-dir.ts'
import { makeTempDir } from '../support/temp-dir.ts'

const MAIN = join(import.meta.dirname, '../../src/main.ts')

let dir: TempDir
let children: ChildProcess[]

beforeEach(async () => {
  dir = await makeTempDir()
  children = []
  await writeFile(join(dir.path, 'mirror.config.json'), '{ "storage": { "minFree": 0 } }')
})
afterEach(async () => {
  for (const child of children) if (child.exitCode === null) child.kill('SIGKILL')
  await dir.remove()
})

function start(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const child = spawn(process.execPath, [MAIN, ...args], {
    cwd: dir.path,
    env: { PATH: process.env['PATH'], OCI_MIRROR_ADMIN_LISTEN: '127.0.0.1:0', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  children.push(child)
  return child
}

async function finish(child: ReturnType<typeof start>) {
  const [stdout, stderr] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'close'),
  ])
  return { code: child.exitCode, stdout, stderr }
}

/** Resolves with the URL that a started mirror logs. */
async function listening(child: ReturnType<typeof start>): Promise<string> {
  let seen = ''
  for await (const chunk of child.stdout.iterator({ destroyOnReturn: false })) {
    seen += String(chunk)
    const url = /"url":"([^"]+)".*"msg":"started"/.exec(seen)?.[1]
    if (url !== undefined) return url
  }
  throw new Error(`it ended before it had started: ${seen}`)
}

describe('the process', () => {
  it.each([
    [['version'], 0],
    [['config', 'check'], 0],
    [['config', 'check', '-c', 'nowhere.yaml'], 2],
    [['nonsense'], 2],
    [['healthcheck', '-c', 'dead.json'], 1],
  ])('ends %j with %i', async (args, code) => {
    await writeFile(join(dir.path, 'dead.json'), '{ "server": { "listen": "127.0.0.1:1" } }')
    const outcome = await finish(start(args))
    expect(outcome.code).toBe(code)
    expect(outcome[code === 0 ? 'stderr' : 'stdout']).toBe('')
    expect(outcome[code === 0 ? 'stdout' : 'stderr']).not.toBe('')
  })

  it('serves as the default, prints the banner to stderr, drains on SIGTERM and ends with 0', async () => {
    const child = start(['--listen', '127.0.0.1:0', '--data', 'store'])
    const banner = text(child.stderr)
    const url = await listening(child)
    expect((await fetch(`${url}/v2/`)).status).toBe(200)
    child.kill('SIGTERM')
    await once(child, 'exit')
    expect(child.exitCode).toBe(0)
    const said = await banner
    expect(said).toContain(`listens on   ${url}`)
    expect(said).toContain(`data         ${join(dir.path, 'store')}`)
    expect(said).toContain(`[host."${url}"]`)
  })

  it('prints JSON and nothing else if that is configured', async () => {
    await writeFile(join(dir.path, 'json.yaml'), 'log: { format: json }\nstorage: { minFree: 0 }')
    const child = start(['-c', 'json.yaml'], { OCI_MIRROR_LISTEN: '127.0.0.1:0' })
    const stderr = text(child.stderr)
    await listening(child)
    child.kill('SIGINT')
    await once(child, 'exit')
    expect(child.exitCode).toBe(0)
    expect(await stderr).toBe('')
  })

  it('has not exported to a pipe whose reader left before the end', async () => {
    const data = await makeTempDir()
    openDataDirectory(data.path).release()
    await (await startStocked(data))[Symbol.asyncDispose]()
    const child = start(['export', '-o', '-', 'acme/tool:2'], { OCI_MIRROR_DATA: data.path })
    child.stdout.destroy()
    const [stderr] = await Promise.all([text(child.stderr), once(child, 'exit')])
    await data.remove()
    expect({ code: child.exitCode, stderr }).toEqual({
      code: 1,
      stderr: 'error: whoever read standard output has left before its end\n',
    })
  })

  it('says in one line that the port is taken', async () => {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const { code, stderr } = await finish(start(['serve', '--listen', `127.0.0.1:${port}`]))
    server.close()
    expect(code).toBe(1)
    expect(stderr).toMatch(new RegExp(`^error: cannot listen on 127\\.0\\.0\\.1:${port}: .*\\n$`))
  })

  it('says in one line that the data directory belongs to another process', async () => {
    const first = start(['serve', '--listen', '127.0.0.1:0'])
    first.stderr.resume()
    await listening(first)
    const { code, stderr } = await finish(start(['serve', '--listen', '127.0.0.1:0']))
    expect(code).toBe(1)
    expect(stderr).toMatch(/^error: another oci-mirror is using the data directory .*\n$/)
  })

  it('says in one line that the data directory cannot be one', async () => {
    await writeFile(join(dir.path, 'file'), '')
    const { code, stderr } = await finish(start(['--data', 'file', '--listen', '127.0.0.1:0']))
    expect(code).toBe(1)
    expect(stderr).toMatch(/^error: cannot use the data directory .*\n$/)
  })
})
