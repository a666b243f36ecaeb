import { chmod, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import type { ClusterRequest } from '../../../src/airgap/discover/kubectl.ts'
import { readCluster } from '../../../src/airgap/discover/kubectl.ts'
import { readImageLists } from '../../../src/airgap/discover/read-image-lists.ts'
import type { TempDir } from '../../support/temp-dir.ts'
import { makeTempDir } from '../../support/temp-dir.ts'

const PODS = { kind: 'List', apiVersion: 'v1', items: [pod('nginx:1.29'), pod('quay.io/a/b:1')] }
const NODES = {
  kind: 'List',
  apiVersion: 'v1',
  items: [{ kind: 'Node', status: { images: [{ names: ['registry.k8s.io/pause:3.10'] }] } }],
}

let dir: TempDir

beforeEach(async () => {
  dir = await makeTempDir()
})
afterEach(() => dir.remove())

function pod(image: string) {
  return { kind: 'Pod', apiVersion: 'v1', spec: { containers: [{ name: 'a', image }] } }
}

async function install(script: string): Promise<void> {
  const path = join(dir.path, 'kubectl')
  await writeFile(path, `#!/bin/sh\ncd ${dir.path}\n${script}\n`)
  await chmod(path, 0o755)
}

async function installFake(): Promise<void> {
  await writeFile(join(dir.path, 'pods.json'), JSON.stringify(PODS))
  await writeFile(join(dir.path, 'nodes.json'), JSON.stringify(NODES))
  await install('echo "$@" >> asked; cat $2.json')
}

function ask(request: Omit<ClusterRequest, 'env'> = {}, signal?: AbortSignal) {
  const env = { PATH: `${dir.path}:${process.env['PATH'] ?? ''}` }
  return readCluster({ ...request, env }, signal)
}

it('reads what runs, and what the nodes hold', async () => {
  await installFake()
  const lists = await readImageLists(await ask(), { env: {} })
  expect(lists.images.map(({ reference, from }) => [reference, from])).toEqual([
    ['docker.io/library/nginx:1.29', 'kubectl get pods:1'],
    ['quay.io/a/b:1', 'kubectl get pods:1'],
    ['registry.k8s.io/pause:3.10', 'kubectl get nodes:1'],
  ])
  expect(await readFile(join(dir.path, 'asked'), 'utf8')).toBe(
    'get pods --all-namespaces -o json\nget nodes -o json\n',
  )
})

it('asks for one namespace by its pods alone, in another context, and through no shell', async () => {
  await installFake()
  expect(await ask({ namespace: 'a;touch x', context: '--kubeconfig=/x' })).toHaveLength(1)
  expect(await readFile(join(dir.path, 'asked'), 'utf8')).toBe(
    'get pods --namespace=a;touch x -o json --context=--kubeconfig=/x\n',
  )
})

it('says that there is no kubectl', async () => {
  await expect(readCluster({ env: { PATH: dir.path } })).rejects.toThrow(
    /^`kubectl get pods` failed: there is no kubectl on the PATH; see that/,
  )
})

it('says what kubectl says', async () => {
  await install('echo "error: no context exists" >&2; exit 1')
  await expect(ask()).rejects.toThrow(
    '`kubectl get pods` failed: error: no context exists; see that it works by itself, or give its output as an input (-)',
  )
  await install('exit 3')
  await expect(ask()).rejects.toThrow(/failed: it ended with exit code 3;/)
  await install('kill -9 $$')
  await expect(ask()).rejects.toThrow(/failed: it was ended by SIGKILL;/)
})

it('waits a minute, and not for a kubectl that ignores that or for what it has started', async () => {
  await install("trap '' TERM; sleep 30 & echo $! > helper; touch began; wait")
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  try {
    const asked = ask().catch(String)
    await vi.waitFor(() => readFile(join(dir.path, 'began')))
    await vi.advanceTimersByTimeAsync(60_000)
    expect(await asked).toMatch(/`kubectl get pods` failed: it was not done within 60 s; see that/)
  } finally {
    vi.useRealTimers()
    process.kill(Number(await readFile(join(dir.path, 'helper'), 'utf8')))
  }
})

it('waits no longer than it is told to', async () => {
  await install('exec sleep 30')
  await expect(ask({}, AbortSignal.timeout(100))).rejects.toMatchObject({ name: 'AbortError' })
})
