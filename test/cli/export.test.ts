import { once } from 'node:events'
import { readdir, readFile, unlink, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { exportBundle } from '../../src/airgap/export/export-bundle.ts'
import { createAdminClient } from '../../src/cli/admin-client.ts'
import type { ExportApi } from '../../src/core/airgap/export-api.ts'
import { systemClock } from '../../src/core/system-clock.ts'
import { openDataDirectory } from '../../src/store/data-directory.ts'
import { blobPath, layoutOf } from '../../src/store/layout.ts'
import { openBundle, startStocked, TOOL } from '../airgap/export/stocked-mirror.ts'
import type { RunOptions } from './fake-terminal.ts'
import { Workplace } from './workplace.ts'

const PLATFORM = ['--platform', 'linux/amd64']

let place: Workplace

beforeEach(async () => {
  place = await Workplace.make()
  openDataDirectory(place.data.path).release()
})
afterEach(() => place.close())

async function oci(args: readonly string[], options?: RunOptions) {
  const chunks: Buffer[] = []
  const writeBytes = async (chunk: Uint8Array) => {
    chunks.push(Buffer.from(chunk))
  }
  const said = await place.run(args, { writeBytes, ...options })
  return { ...said, bytes: Buffer.concat(chunks) }
}

describe('export without a running mirror', () => {
  beforeEach(async () => {
    const stocked = await startStocked(place.data)
    await stocked[Symbol.asyncDispose]()
  })

  it('says what it wrote, and leaves out what is not here as a whole, with exit code 1', async () => {
    const { code, stdout, stderr } = await oci(['export', '-o', 'week34.tar', '--all', ...PLATFORM])
    expect({ code, stderr }).toEqual({ code: 1, stderr: '' })
    const lines = stdout.trim().split('\n')
    expect(lines[0]).toMatch(
      /^left out {2}docker\.io\/acme\/half:1: 3 of its 4 parts are not here \(platforms: linux\/amd64\): warm it first/,
    )
    expect(lines[1]).toMatch(/^write {5}2 images, 2 signatures and the like, 13 blobs, \d+ kB$/)
    expect(lines[2]).toMatch(/^done {6}week34\.tar {2}\d+ kB$/)
    expect(lines[3]).toMatch(/^ +id sha256:\w{64} {2}header week34\.json \(\d\.\d kB\)$/)
    expect(lines).toHaveLength(4)
    expect((await readdir(place.dir.path)).toSorted()).toEqual([
      'mirror.config.json',
      'week34.json',
      'week34.tar',
    ])
    expect((await oci(['verify', 'week34.json'])).code).toBe(0)
  })

  it('says what is new to the other side', async () => {
    await oci(['export', '-o', 'week33.tar', 'app:1', ...PLATFORM])
    const have = ['--have', 'week33.json']
    const { code, stdout } = await oci([
      'export',
      '-o',
      'week34.tar',
      'acme/tool:2',
      'app:1',
      ...have,
      ...PLATFORM,
    ])
    expect(code).toBe(0)
    expect(stdout).toMatch(
      /^have +week33\.json: 10 blobs \(.*\)\nwrite +1 of 2 images changed, 3 blobs, \d+ kB \(full would be \d+ kB\)\ndone +week34\.tar/,
    )
    const again = await oci(['export', '-o', 'week35.tar', 'acme/tool:2', '--have', 'week34.json'])
    expect(again.code).toBe(0)
    expect(again.stdout).toMatch(/^have {3}week34\.json: 3 blobs \(/)
    expect(again.stdout).toContain('write  nothing: the other side has all of it\n')
  })

  it('ends with exit code 1 where there is nothing to write, and writes nothing', async () => {
    const { code, stdout } = await oci(['export', '-o', 'x.tar', '--pinned'])
    expect(code).toBe(1)
    expect(stdout).toBe('write  nothing: there is none of it here\n')
    expect(await readdir(place.dir.path)).toEqual(['mirror.config.json'])
  })

  it('leaves out what is known to be damaged, with exit code 4', async () => {
    await unlink(blobPath(layoutOf(place.data.path), TOOL.config.digest))
    const { code, stdout } = await oci([
      'export',
      '-o',
      'x.tar',
      'acme/tool:2',
      'app:1',
      ...PLATFORM,
    ])
    expect(code).toBe(4)
    expect(stdout).toContain(
      `left out  docker.io/acme/tool:2: ${TOOL.config.digest} is damaged here: run`,
    )
    const { header } = await openBundle(place.path('x.tar'))
    expect(header.images[0]).toMatchObject({ image: 'docker.io/library/app:1' })
  })

  it('names the line of a list whose image is not here', async () => {
    await place.write('images.txt', '# tools\nacme/tool:2\nacme/gone:1\nNo Image\n')
    const { code, stdout, stderr } = await oci(['export', '-o', 'x.tar', '-f', 'images.txt'])
    expect(code).toBe(1)
    expect(stdout).toMatch(
      /left out {2}docker\.io\/acme\/gone:1: .* is not here.* \(images\.txt:3\)/,
    )
    expect(stderr).toContain('images.txt:4: ')
    const { header } = await openBundle(place.path('x.tar'))
    expect(header.images.map(({ image }) => image)).toEqual(['docker.io/acme/tool:2'])
  })

  it('writes to standard output, and its report then elsewhere', async () => {
    const { code, stdout, stderr, bytes } = await oci(['export', '-o', '-', 'acme/tool:2'])
    expect({ code, stdout }).toEqual({ code: 0, stdout: '' })
    expect(stderr).toContain('done   standard output')
    await place.write('piped.tar', bytes)
    await oci(['export', '-o', 'named.tar', 'acme/tool:2'])
    const [piped, named] = await Promise.all(
      ['piped.tar', 'named.tar'].map((name) => openBundle(place.path(name))),
    )
    expect(piped?.entries).toEqual(named?.entries)
    expect(await oci(['export', '-o', '-', 'acme/tool:2'], { isTTY: 'stdout' })).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('that is a terminal: pipe it, or name a file'),
    })
  })

  it('only says what it would write, in JSON too', async () => {
    const { stdout } = await oci(['export', '--dry-run', 'acme/tool:2', '--output', 'json'])
    expect(JSON.parse(stdout)).toMatchObject({
      dryRun: true,
      images: [{ image: 'docker.io/acme/tool:2', digest: TOOL.manifest.digest }],
      carried: { blobs: 3 },
      incomplete: [],
    })
    expect(await readdir(place.dir.path)).toEqual(['mirror.config.json'])
  })

  it('writes what any Docker loads, one platform of each image', async () => {
    const args = ['export', '-o', 'x.tar', '--format', 'docker', 'app:1', 'acme/tool:2']
    const { code } = await oci([...args, ...PLATFORM])
    expect(code).toBe(0)
    const text = (await readFile(place.path('x.tar'))).toString('latin1')
    const blob = (digest: string) => `blobs/sha256/${digest.slice(7)}`
    expect(JSON.parse(text.slice(512, text.indexOf('\n', 512)))).toEqual(
      expect.arrayContaining([
        {
          Config: blob(TOOL.config.digest),
          RepoTags: ['docker.io/acme/tool:2'],
          Layers: TOOL.layers.map(({ digest }) => blob(digest)),
        },
      ]),
    )
    expect(await readdir(place.dir.path)).not.toContain('x.json')
  })

  it.each([
    [['export', '-o', 'x.tar'], 'name images, or use -f, --all, --pinned or --used-since'],
    [['export', '--all'], 'name the file to write with -o, or use --dry-run'],
    [['export', '-o', '-', '--all', '--split', '4GiB'], 'parts (--split) need names'],
    [
      ['export', '-o', 'x', '--all', '--format', 'docker', '--have', 'y'],
      '--format docker is one file',
    ],
    [['export', '-o', 'x', '--all', '--split', 'much'], 'Expected a size such as 4GiB.'],
    [['export', '-o', 'x', '--all', '--platform', 'Linux'], '"Linux" is no platform'],
  ])('refuses %j', async (args, message) => {
    const { code, stderr } = await oci(args)
    expect(code).toBe(2)
    expect(stderr).toContain(message)
    expect(await readdir(place.dir.path)).toEqual(['mirror.config.json'])
  })
})

describe('export from a running mirror', () => {
  let stocked: Awaited<ReturnType<typeof startStocked>>
  let admin: string

  beforeEach(async () => {
    stocked = await startStocked(place.data)
    admin = await place.serve(stocked.mirror.operations)
  })
  afterEach(async () => {
    await place.stopServing()
    await stocked[Symbol.asyncDispose]()
  })

  it('writes the same bundle', async () => {
    const { code, stdout } = await oci([
      'export',
      '-o',
      'x.tar',
      'app:1',
      'acme/tool:2',
      ...PLATFORM,
    ])
    expect(code).toBe(0)
    expect(stdout).toContain('write  2 images, 2 signatures and the like, 13 blobs')
    const { header } = await openBundle(place.path('x.tar'))
    expect(header.blobs).toHaveLength(13)
  })

  it('ends with exit code 4 where a blob is damaged, and leaves nothing', async () => {
    const path = blobPath(layoutOf(place.data.path), TOOL.config.digest)
    await writeFile(path, (await readFile(path)).toReversed())
    expect(await oci(['export', '-o', 'x.tar', 'acme/tool:2'])).toMatchObject({
      code: 4,
      stderr: `error: ${TOOL.config.digest} is damaged here: run \`oci-mirror verify --repair\`, and export again\n`,
    })
    expect(await readdir(place.dir.path)).toEqual(['mirror.config.json'])
  })

  it('finds a blob damaged that was right when it was planned', async () => {
    const { exports } = createAdminClient(admin)
    const path = blobPath(layoutOf(place.data.path), TOOL.config.digest)
    const late: ExportApi = {
      async plan(request) {
        const plan = await exports.plan(request)
        await unlink(path)
        return plan
      },
      read: (...args) => exports.read(...args),
    }
    const request = { references: ['acme/tool:2'], all: false, pinned: false, referrers: true }
    const out = place.path('x.tar')
    const rest = { refName: 'tag', have: [], force: false, dryRun: false } as const
    const signal = new AbortController().signal
    for (const format of ['bundle', 'docker'] as const) {
      await writeFile(path, TOOL.config.bytes)
      const tools = { exports: late, clock: systemClock, tool: 'a test', onProgress: () => {} }
      await expect(
        exportBundle(request, { out, format, ...rest }, tools, signal),
      ).rejects.toMatchObject({
        problem: 'damaged',
        message: expect.stringContaining(`${TOOL.config.digest} is damaged here`) as unknown,
      })
    }
    expect(await readdir(place.dir.path)).toEqual(['mirror.config.json'])
  })

  it('asks another mirror what it has', async () => {
    const nothing = await oci(['export', '-o', 'x.tar', 'acme/tool:2', '--have', admin])
    expect(nothing).toMatchObject({ code: 0, stderr: '' })
    expect(nothing.stdout).toContain('write  nothing: the other side has all of it\n')

    const inventory = { version: 1, created: 1, images: [], blobs: [TOOL.config.digest] }
    const asked: (string | undefined)[] = []
    const other = createServer((incoming, outgoing) => {
      asked.push(incoming.url)
      outgoing.statusCode = asked.length === 1 ? 200 : 403
      outgoing.end(JSON.stringify(inventory))
    }).listen(0, '127.0.0.1')
    await once(other, 'listening')
    const url = `http://127.0.0.1:${(other.address() as AddressInfo).port}/`
    const args = ['export', '-o', 'x.tar', 'acme/tool:2', '--have', url]
    const some = await oci(args)
    const refused = await oci([...args, '--force'])
    other.close()
    expect(some.code).toBe(0)
    const { header } = await openBundle(place.path('x.tar'))
    const { digest, size } = TOOL.config
    expect(header).toMatchObject({ requires: [{ digest, size }], parents: [] })
    expect(header.blobs.map((blob) => blob.digest)).not.toContain(digest)
    expect(asked).toEqual(['/api/v1/inventory', '/api/v1/inventory'])
    expect(refused.code).toBe(1)
    expect(refused.stderr).toContain(
      `error: --have ${url}: ${url}api/v1/inventory answers 403; it has`,
    )
  })

  it('is told what is no digest, and what is not there', async () => {
    const get = (query: string) => fetch(`${admin}/api/v1/blob?${query}`)
    expect((await get('digest=x')).status).toBe(400)
    expect((await get(`digest=sha256:${'0'.repeat(64)}`)).status).toBe(404)
    expect((await get(`digest=${TOOL.config.digest}&start=-1`)).status).toBe(400)
    const response = await fetch(`${admin}/api/v1/export`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ references: [], everything: true }),
    })
    expect([response.status, await response.text()]).toEqual([
      400,
      expect.stringContaining('there is no field'),
    ])
    const rest = await get(`digest=${TOOL.config.digest}&start=10`)
    expect(Buffer.from(await rest.arrayBuffer())).toEqual(
      Buffer.from(TOOL.config.bytes).subarray(10),
    )
  })
})
