import { execFile } from 'node:child_process'
import { mkdir, rm, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import * as fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { formatProblem } from '../../../src/airgap/discover/image-lists.ts'
import { readImageLists } from '../../../src/airgap/discover/read-image-lists.ts'
import { walkDirectory } from '../../../src/airgap/discover/walk-directory.ts'
import type { TempDir } from '../../support/temp-dir.ts'
import { makeTempDir } from '../../support/temp-dir.ts'

const POD = 'apiVersion: v1\nkind: Pod\nspec: { containers: [{ image: "nginx:1.29" }] }\n'

let dir: TempDir

beforeEach(async () => {
  dir = await makeTempDir()
})
afterEach(() => dir.remove())

async function put(name: string, content: string | Uint8Array): Promise<void> {
  await mkdir(dirname(join(dir.path, name)), { recursive: true })
  await writeFile(join(dir.path, name), content)
}

/** What the file or directory says, in short. */
async function read(name = '.', env: Readonly<Record<string, string>> = {}) {
  const input = { kind: 'path', path: join(dir.path, name), shownAs: name } as const
  const lists = await readImageLists([input], { env })
  return {
    images: lists.images.map(({ reference, from }) => `${reference} ${from}`),
    maybe: lists.maybe.map(({ reference }) => reference),
    problems: lists.problems.map(formatProblem),
    notes: lists.notes,
  }
}

async function* bytes(text: string, size = text.length): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < text.length; at += size) yield Buffer.from(text.slice(at, at + size))
}

describe('a directory', () => {
  it('is read below, by name, but for what others have put there', async () => {
    await put('b/pod.yaml', POD)
    await put('a/list.txt', 'alpine:3\n')
    await put('c.JSON', '{"images":["quay.io/a/b:1"]}')
    await put('d.lock', 'images: [{ image: "ghcr.io/a/b:1" }]')
    await put('node_modules/x/pod.yaml', POD.replace('nginx', 'wrong'))
    await put('.git/pod.yaml', POD.replace('nginx', 'wrong'))
    await put('e.md', 'httpd:2\n')
    expect(await read()).toEqual({
      images: [
        'docker.io/library/alpine:3 a/list.txt:1',
        'docker.io/library/nginx:1.29 b/pod.yaml:3',
        'ghcr.io/a/b:1 d.lock:1',
        'quay.io/a/b:1 c.JSON:1',
      ],
      maybe: [],
      problems: [],
      notes: [],
    })
  })

  it('has texts that are no lists of images, and is not blamed for them', async () => {
    await put('LICENSE.txt', 'Apache License\nVersion 2.0, January 2004\n')
    await put('requirements.txt', 'requests==2.32\nflask>=3\n')
    await put('words.json', '["alpha", "beta"]')
    await put('yarn.lock', '"@babel/core@^7":\n  version "7.1"\n  resolved "https://x/y#1"\n')
    await put('tsconfig.json', '{\n  // no comment\n  "include": []\n}\n')
    await put('notes.txt', 'remember\nto ask\nabout nginx\nquay.io/a/b:1\n')
    expect(await read()).toEqual({
      images: [],
      maybe: [],
      problems: [],
      notes: [
        'notes.txt was not read, because few of its lines are images: name it if it is a list',
      ],
    })
    expect((await read('requirements.txt')).problems).toHaveLength(2)
  })

  it('has lists with mistakes in them, which are problems', async () => {
    await put('list.txt', 'alpine:3\nNo Image\nquay.io/a/b:1\n')
    await put('broken.yaml', 'image: [nginx:1\n')
    const { images, problems } = await read()
    expect(images).toHaveLength(2)
    expect(problems).toEqual([
      expect.stringMatching(/^broken\.yaml:\d: YAML: /),
      'list.txt:2: "No Image" is no image: expected [REGISTRY/]NAME[:TAG][@DIGEST]',
    ])
  })

  it('may be a chart, whose templates are no manifests yet', async () => {
    await put('app/Chart.yaml', 'apiVersion: v2\nname: app\nversion: 1.0.0\n')
    await put('app/values.yaml', 'image: { repository: ghcr.io/org/app, tag: v1 }\n')
    await put('app/templates/pod.yaml', 'image: {{ .Values.image }}\n')
    await put('loose.yaml', '{{- if .Values.x }}\nimage: a\n{{- end }}\n')
    expect(await read()).toEqual({
      images: [],
      maybe: ['ghcr.io/org/app:v1'],
      problems: [],
      notes: [
        expect.stringMatching(/^app is a chart, .*`helm template app \| oci-mirror images -`/),
        expect.stringMatching(/^loose\.yaml is a template and was not read/),
      ],
    })
  })

  it('is read through links, each file once, and in no circle', async () => {
    await put('real/pod.yaml', POD)
    await symlink('..', join(dir.path, 'real/up'))
    await symlink('real', join(dir.path, 'again'))
    await symlink('nowhere', join(dir.path, 'lost.yaml'))
    await symlink('self.yaml', join(dir.path, 'self.yaml'))
    await symlink('nowhere', join(dir.path, 'lost.md'))
    const { images, problems } = await read()
    expect(images).toEqual(['docker.io/library/nginx:1.29 again/pod.yaml:3'])
    expect(problems).toEqual([
      'lost.yaml: there is no such file',
      'self.yaml: it is a loop of symbolic links',
    ])
  })

  it('is left where its links lead to more than anybody means', async () => {
    for (let n = 0; n < 20; n += 1) await put(`all/${n}/x.md`, '')
    await put('deploy/pod.yaml', POD)
    await symlink('../all', join(dir.path, 'deploy/root'))
    const walk = (limits: { files: number; entries: number }) =>
      Array.fromAsync(walkDirectory(join(dir.path, 'deploy'), 'deploy', limits), (walked) =>
        walked.kind === 'failure' ? String(walked.error) : walked.kind,
      )
    expect(await walk({ files: 1, entries: 42 })).toEqual(['file'])
    expect(await walk({ files: 1, entries: 41 })).toEqual([
      'file',
      'Error: it has more than 41 files of any kind, with its links: name directories below it',
    ])
    expect(await walk({ files: 0, entries: 42 })).toEqual([
      'Error: it has more than 0 files to read, with its links: name directories below it',
    ])
  })

  it('is left where it is too deep', async () => {
    await put(`${'d/'.repeat(40)}pod.yaml`, POD)
    const { images, problems } = await read()
    expect(images).toEqual([])
    expect(problems).toEqual([expect.stringMatching(/: it is more than 32 directories deep$/)])
  })
})

describe('a file', () => {
  it('that is not there, or binary, or a device, does not stop the others', async () => {
    await put('bin.yaml', Buffer.from([0x7f, 0x45, 0x4c, 0x46, 0, 1, 2]))
    await put('good.yaml', POD)
    const inputs = ['missing.yaml', 'bin.yaml', '/dev/zero', '/proc/self/mem', 'good.yaml'].map(
      (name) =>
        ({
          kind: 'path',
          path: join(name[0] === '/' ? '' : dir.path, name),
          shownAs: name,
        }) as const,
    )
    const lists = await readImageLists(inputs, { env: {} })
    expect(lists.images).toHaveLength(1)
    expect(lists.problems.map(formatProblem)).toEqual([
      'missing.yaml: there is no such file',
      'bin.yaml: it is binary',
      '/dev/zero: it is binary',
      expect.stringMatching(/^\/proc\/self\/mem: EIO/),
    ])
  })

  it('may be a pipe', async () => {
    await promisify(execFile)('mkfifo', [join(dir.path, 'pipe')])
    const reading = read('pipe')
    await writeFile(join(dir.path, 'pipe'), 'alpine:3\n')
    expect((await reading).images).toEqual(['docker.io/library/alpine:3 pipe:1'])
  })

  it('has what a compose file fills in beside it, and the environment goes before it', async () => {
    await put('.env', 'TAG=1\nNAME="web"\n')
    await put('compose.yaml', 'services: { a: { image: "quay.io/a/$NAME:$TAG" } }\n')
    expect((await read('compose.yaml')).images).toEqual(['quay.io/a/web:1 compose.yaml:1'])
    const { images } = await read('compose.yaml', { TAG: '2' })
    expect(images).toEqual(['quay.io/a/web:2 compose.yaml:1'])
  })

  it('has beside it what is no file of variables, or has values that are too long', async () => {
    await put('compose.yaml', `services: { a: { image: "${'$A'.repeat(2000)}" } }\n`)
    await put('.env', `A=${'x'.repeat(1_000_000)}\n`)
    const tooLong = await readImageLists(
      [{ kind: 'path', path: join(dir.path, 'compose.yaml'), shownAs: 'c' }],
      { env: {} },
    )
    expect(tooLong.maybe).toMatchObject([
      { isName: false, reason: 'with its variables filled in it is too long' },
    ])
    await rm(join(dir.path, '.env'))
    await promisify(execFile)('mkfifo', [join(dir.path, '.env')])
    await put('compose.yaml', 'services: { a: { image: "nginx:1" }, b: { image: "a:$A" } }\n')
    expect(await read('compose.yaml')).toMatchObject({
      images: ['docker.io/library/nginx:1 compose.yaml:1'],
      maybe: ['a:$A'],
    })
  })

  it('repeats no long key in each place below it', async () => {
    const key = 'k'.repeat(100_000)
    const spec = { containers: [{ image: 'nginx:1.29' }, { image: 'No Image' }] }
    await put('pod.json', JSON.stringify({ apiVersion: 'v1', kind: 'Pod', [key]: spec }))
    const { images, problems } = await read('pod.json')
    expect(images).toHaveLength(1)
    expect(problems).toEqual([
      `pod.json:1: ["${'k'.repeat(199)}…"].containers[1].image: "No Image" is no image: expected [REGISTRY/]NAME[:TAG][@DIGEST]`,
    ])
  })

  it('with hundreds of lines that are no images is no list', async () => {
    await put('long', `nginx:1.29\n${'No Image\n'.repeat(100_000)}`)
    const { images, problems } = await read('long')
    expect(images).toHaveLength(1)
    expect(problems).toHaveLength(501)
    expect(problems.slice(-2)).toEqual([
      expect.stringMatching(/^long:501: "No Image" is no image/),
      'long: 500 of its lines are no images: the rest was not read',
    ])
  })

  it.each([
    ['JSON', '[\n'.repeat(100_000), /^input:10\d: JSON: it is nested deeper than 100 levels$/],
    [
      'flows of YAML',
      `a: ${'['.repeat(50_000)}`,
      /^input:1: YAML: it is nested (?:too deep|deeper)/,
    ],
    [
      'blocks of YAML',
      Array.from({ length: 400 }, (_, depth) => `${' '.repeat(depth)}a:\n`).join(''),
      /^input:\d+: YAML: it is nested deeper than 100 levels$/,
    ],
  ])('is refused with %s that nest without end', async (_, text, problem) => {
    await put('input', text)
    expect((await read('input')).problems).toEqual([expect.stringMatching(problem)])
  })

  it('is refused where it is too large, with what to do', async () => {
    await put('large', `# ${'x'.repeat(98)}\n`.repeat(170_000).replace(/^/, 'a: 1\n'))
    expect((await read('large')).problems).toEqual([
      'large: it is larger than 16 MiB: split it, or name fewer files',
    ])
  })

  it('with a line that has no end is no list', async () => {
    await put('long', `nginx:1.29\n${'a'.repeat(70_000)}\nalpine\n`)
    const { images, problems } = await read('long')
    expect(images).toEqual(['docker.io/library/nginx:1.29 long:1'])
    expect(problems).toEqual(['long: its line 2 is too long for a list'])
  })
})

describe('a stream', () => {
  it('is cut anywhere, and is read as if it was not', async () => {
    const text = '# größer\r\nquay.io/acme/tool:v9\r\nalpine:3'
    for (const size of [1, 2, 3, 7]) {
      const raw = Buffer.from(text)
      const chunks = (async function* () {
        for (let at = 0; at < raw.length; at += size) yield raw.subarray(at, at + size)
      })()
      const lists = await readImageLists([{ kind: 'stream', name: 'stdin', chunks }], { env: {} })
      expect(lists.images.map(({ from }) => from)).toEqual(['stdin:3', 'stdin:2'])
      expect(lists.problems).toEqual([])
    }
  })

  it('of many references takes them all', async () => {
    const text = Array.from({ length: 20_000 }, (_, n) => `quay.io/org/app-${n}:v1\n`).join('')
    const chunks = bytes(text, 65_536)
    const lists = await readImageLists([{ kind: 'stream', name: 'stdin', chunks }], { env: {} })
    expect(lists.images).toHaveLength(20_000)
    expect(lists.problems).toEqual([])
  })
})

it('lists an image once, with all its places, and as found where one of them is sure', async () => {
  await put('a.yaml', 'args: ["--image=docker.io/library/nginx:1.29"]\n')
  await put('b.yaml', POD)
  const inputs = [
    { kind: 'path', path: dir.path, shownAs: 'deploy' },
    { kind: 'reference', reference: 'index.docker.io/nginx:1.29', from: 'the command line' },
    { kind: 'reference', reference: 'NGINX', from: 'the command line' },
  ] as const
  const lists = await readImageLists(inputs, { env: {} })
  expect(lists.maybe).toEqual([])
  expect(lists.images).toEqual([
    {
      reference: 'docker.io/library/nginx:1.29',
      from: 'deploy/b.yaml:3',
      occurrences: [
        { file: 'deploy/a.yaml', line: 1, path: 'args[0]', doubt: expect.any(String) },
        { file: 'deploy/b.yaml', line: 3, path: 'spec.containers[0].image' },
        { file: 'the command line' },
      ],
    },
  ])
  expect(lists.problems.map(formatProblem)).toEqual([
    'the command line: "NGINX" is no image: expected [REGISTRY/]NAME[:TAG][@DIGEST]',
  ])
})

it('answers to any input with names and problems only', async () => {
  const words =
    'image|containers|services|images|kind|Pod|Node|apiVersion|v1|sync|source|repository|tag|nginx:1|' +
    'quay.io/a/b:1|${A:-x}|{{|*x|&x|: |- |\n|\n  |\n    |{|}|[|]|,|"|#|---\n|<<|\0'
  const word = fc.constantFrom(...words.split('|'))
  const text = fc.oneof(
    fc.array(word, { maxLength: 40 }).map((words) => words.join('')),
    fc.json(),
    fc.string({ unit: 'binary' }),
  )
  const isReference = /^[^\s@/]+\/[^\s@]+[:@][^\s@]+$/
  await fc.assert(
    fc.asyncProperty(text, async (content) => {
      const input = { kind: 'stream', name: 'any', chunks: bytes(content, 64) } as const
      const { images, maybe } = await readImageLists([input], { env: {} })
      const names = [...images, ...maybe.filter(({ isName }) => isName)]
      for (const { reference } of names) expect(reference).toMatch(isReference)
    }),
    { numRuns: 500 },
  )
})

it('stops when it is told to', async () => {
  await put('a.yaml', POD)
  const input = { kind: 'path', path: dir.path, shownAs: 'deploy' } as const
  const stopped = AbortSignal.abort(new Error('enough'))
  await expect(readImageLists([input], { env: {} }, stopped)).rejects.toThrow('enough')
})
