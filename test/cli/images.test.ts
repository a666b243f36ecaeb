import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { TempDir } from '../support/temp-dir.ts'
import { makeTempDir } from '../support/temp-dir.ts'
import { runHere } from './fake-terminal.ts'

const DEPLOY = `apiVersion: apps/v1
kind: Deployment
spec:
  template:
    spec:
      containers:
        - image: ghcr.io/org/api:v1
          args: [--sidecar=ghcr.io/org/sidecar:v1]
        - image: nginx
`

let dir: TempDir

beforeEach(async () => {
  dir = await makeTempDir()
  await mkdir(join(dir.path, 'deploy'))
  await writeFile(join(dir.path, 'deploy/api.yaml'), DEPLOY)
  await writeFile(join(dir.path, 'images.txt'), 'nginx:latest\nquay.io/acme/tool:v9\n')
})
afterEach(() => dir.remove())

/** Runs `images`; without `piped`, standard input is a terminal. */
async function images(
  args: readonly string[],
  piped?: string,
  env: Readonly<Record<string, string>> = {},
) {
  const stdin = async function* () {
    if (piped !== undefined) yield Buffer.from(piped)
  }
  return runHere(['images', ...args], dir.path, env, {
    stdin: Object.assign(stdin(), { isTTY: piped === undefined }),
  })
}

describe('images', () => {
  it('lists what files and directories name, and says what may be one', async () => {
    expect(await images(['deploy', '-f', 'images.txt'])).toEqual({
      code: 0,
      stdout: 'docker.io/library/nginx:latest\nghcr.io/org/api:v1\nquay.io/acme/tool:v9\n',
      stderr:
        'maybe  ghcr.io/org/sidecar:v1  deploy/api.yaml:8  it looks like an image, where anything may be\n' +
        '3 images, 1 maybe (--maybe includes them, --why IMAGE says where they are)\n',
    })
  })

  it('includes what may be one if it is told to', async () => {
    await writeFile(join(dir.path, 'compose.yaml'), 'services: { a: { image: "a:$TAG" } }\n')
    const { code, stdout, stderr } = await images(['.', '--maybe'])
    expect(code).toBe(0)
    expect(stdout.split('\n')).toEqual([
      'docker.io/library/nginx:latest',
      'ghcr.io/org/api:v1',
      'ghcr.io/org/sidecar:v1',
      'quay.io/acme/tool:v9',
      '',
    ])
    expect(stderr).toMatch(
      /^maybe {2}a:\$TAG {2}compose\.yaml:1 {2}\$TAG has no value here\n3 images/,
    )
  })

  it('gives a list that it reads again', async () => {
    const first = await images(['.'])
    const second = await images(['-'], first.stdout)
    expect(second).toMatchObject({ code: 0, stdout: first.stdout, stderr: '3 images, 0 maybe\n' })
  })

  it('reads what is piped in', async () => {
    const stdout = 'docker.io/library/alpine:3\n'
    expect(await images([], 'alpine:3\n')).toMatchObject({ code: 0, stdout })
    expect(await images(['-f', '-'], 'alpine:3\n')).toMatchObject({ code: 0, stdout })
    expect(await images(['-', '-f', '-'], 'alpine:3\n')).toMatchObject({
      code: 2,
      stderr: 'error: standard input (-) can be read once: name it once\n',
    })
  })

  it('does not wait for a person to type a list', async () => {
    const { code, stderr } = await images([])
    expect(code).toBe(2)
    expect(stderr).toMatch(
      /^error: name files or directories that name images, or pipe a list in\n/,
    )
    expect(await images(['-'])).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/^error: - is standard input, and that is a terminal/),
    })
  })

  it('names what is wrong, with file and line, and lists the rest', async () => {
    await writeFile(join(dir.path, 'images.txt'), 'alpine:3\nNot an image\nbusybox\n')
    expect(await images(['-f', 'images.txt', '-f', 'gone.txt'])).toEqual({
      code: 1,
      stdout: 'docker.io/library/alpine:3\ndocker.io/library/busybox:latest\n',
      stderr:
        '2 images, 0 maybe\n' +
        'error: images.txt:2: "Not an image" is no image: expected [REGISTRY/]NAME[:TAG][@DIGEST]\n' +
        'error: gone.txt: there is no such file\n',
    })
  })

  it('takes what is no file as a reference, but no file that is not there', async () => {
    expect((await images(['alpine:3', 'deploy'])).stdout).toMatch(
      /^docker\.io\/library\/alpine:3\n/,
    )
    for (const name of ['gone.yaml', './gone', '/gone/x', 'gone/']) {
      expect(await images([name])).toEqual({
        code: 2,
        stdout: '',
        stderr: `error: there is no file or directory ${name}, and it is no reference to an image\n`,
      })
    }
    for (const args of [['https://example.com/list'], ['-f', 'https://example.com/list']]) {
      expect(await images(args)).toMatchObject({
        code: 2,
        stderr: expect.stringMatching(/^error: https:\S+ is a URL, and nothing is fetched here: /),
      })
    }
    expect(await images(['Gone'])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('error: the command line: "Gone" is no image'),
    })
  })

  it('says why an image is in the list', async () => {
    expect(await images(['deploy', 'images.txt', '--why', 'nginx'])).toEqual({
      code: 0,
      stdout: [
        'docker.io/library/nginx:latest',
        '  deploy/api.yaml:9  spec.template.spec.containers[1].image',
        '  images.txt:1',
        '',
      ].join('\n'),
      stderr: '',
    })
    expect((await images(['deploy', '--why', 'ghcr.io/org/sidecar'])).stdout).toBe(
      'ghcr.io/org/sidecar:v1\n' +
        '  deploy/api.yaml:8  spec.template.spec.containers[0].args[0]  maybe: it looks like an image, where anything may be\n',
    )
    expect(await images(['deploy', 'images.txt', '--why', 'nginx:1.29'])).toMatchObject({
      code: 1,
      stderr: 'error: no input names docker.io/library/nginx:1.29\n',
    })
    expect(await images(['deploy', '-f', 'gone.txt', '--why', 'nginx:1.29'])).toMatchObject({
      code: 1,
      stderr:
        'error: gone.txt: there is no such file\nerror: no input names docker.io/library/nginx:1.29\n',
    })
  })

  it('says all of it as JSON', async () => {
    const { code, stdout, stderr } = await images(['deploy', '--output', 'json'])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(JSON.parse(stdout)).toMatchObject({
      images: [{ reference: 'docker.io/library/nginx:latest' }, { from: 'deploy/api.yaml:7' }],
      maybe: [{ reference: 'ghcr.io/org/sidecar:v1', isName: true }],
      problems: [],
      notes: [],
    })
  })

  it('asks a cluster by the kubectl that is there, and says if there is none', async () => {
    const pod = { kind: 'Pod', apiVersion: 'v1', spec: { containers: [{ image: 'nginx:1.29' }] } }
    const path = join(dir.path, 'kubectl')
    await writeFile(path, `#!/bin/sh\necho '${JSON.stringify(pod)}'\n`)
    await chmod(path, 0o755)
    const env = { PATH: `${dir.path}:${process.env['PATH'] ?? ''}` }
    expect(await images(['--from-cluster', '-n', 'shop'], undefined, env)).toMatchObject({
      code: 0,
      stdout: 'docker.io/library/nginx:1.29\n',
    })
    expect(await images(['--from-cluster'], undefined, { PATH: '/nowhere' })).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^error: `kubectl get pods` failed: there is no kubectl/),
    })
    expect(await images(['-n', 'shop', 'deploy'], undefined, env)).toMatchObject({
      code: 2,
      stderr: 'error: --context and --namespace go with --from-cluster\n',
    })
  })

  it('sends nothing to the terminal that it would obey', async () => {
    const esc = '\u001B[2J'
    await writeFile(join(dir.path, `${esc}.yaml`), `services: { a: { image: "x:$T\\e[2J" } }\n`)
    await writeFile(join(dir.path, 'list.txt'), `a:1\nb:${esc}\n`)
    const { stdout, stderr } = await images(['.', 'list.txt'])
    expect(stdout + stderr).not.toContain('\u001B')
    expect(stderr).toMatch(/^maybe +x:\$T\?\[2J +\?\[2J\.yaml:1 +\$T has no value here$/m)
    expect(stderr.match(/^error: list\.txt:2: /gm)).toHaveLength(1)
  })

  it('counts what is unsure instead of listing it without end', async () => {
    const values = Array.from({ length: 30 }, (_, n) => `v${n}: quay.io/a/b:v${n}\n`).join('')
    await writeFile(join(dir.path, 'values.yaml'), values)
    const { stderr } = await images(['values.yaml'])
    expect(stderr.split('\n')).toHaveLength(23)
    expect(stderr).toContain('\nmaybe  and 10 more: --output json has all\n')
  })
})
