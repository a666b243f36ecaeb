import { spawn } from 'node:child_process'
import { MaintenanceError } from '../../core/maintenance/maintenance-error.ts'
import type { Variables } from './interpolate.ts'
import type { ImageInput } from './read-image-lists.ts'

export interface ClusterRequest {
  /** Of kubectl's configuration; its current one if absent. */
  readonly context?: string
  /** Only the pods in it. Absent: all pods, and what the nodes hold. */
  readonly namespace?: string
  /** Where kubectl is, and its configuration. */
  readonly env: Variables
}

/** What a cluster says of itself is less than this, and within this time. */
const MAX_BYTES = 128 * 1024 * 1024
const MAX_COMPLAINT = 4096
const KUBECTL = 'kubectl'
const TIMEOUT_MS = 60_000

/**
 * What a cluster runs, and what its nodes hold: by way of the person's own kubectl, which knows how to get
 * there. Throws MaintenanceError with what kubectl says.
 */
export async function readCluster(
  request: ClusterRequest,
  signal?: AbortSignal,
): Promise<readonly ImageInput[]> {
  const { context, namespace, env } = request
  const common = ['-o', 'json', ...(context === undefined ? [] : [`--context=${context}`])]
  const scope = namespace === undefined ? '--all-namespaces' : `--namespace=${namespace}`
  const pods = await runKubectl(['get', 'pods', scope, ...common], env, signal)
  if (namespace !== undefined) return [pods]
  return [pods, await runKubectl(['get', 'nodes', ...common], env, signal)]
}

async function runKubectl(
  args: readonly string[],
  env: Variables,
  signal?: AbortSignal,
): Promise<ImageInput> {
  const name = `kubectl ${args.slice(0, 2).join(' ')}`
  const { promise, resolve, reject } = Promise.withResolvers<ImageInput>()
  const kubectl = spawn(KUBECTL, [...args], {
    env: { ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(signal && { signal }),
  })
  const chunks: Buffer[] = []
  let bytes = 0
  let complaint = ''
  const end = (reason: string) => {
    reject(failed(name, reason))
    kubectl.kill('SIGKILL')
    // Its own helpers may still have them open: nobody waits for those.
    kubectl.stdout.destroy()
    kubectl.stderr.destroy()
  }
  const timer = setTimeout(() => end(`it was not done within ${TIMEOUT_MS / 1000} s`), TIMEOUT_MS)
  kubectl.stdout.on('data', (chunk: Buffer) => {
    bytes += chunk.length
    if (bytes <= MAX_BYTES) chunks.push(chunk)
    else end('it says more than 128 MiB: name a namespace (-n)')
  })
  kubectl.stderr.on('data', (chunk: Buffer) => {
    complaint = (complaint + chunk.toString()).slice(0, MAX_COMPLAINT)
  })
  kubectl.on('error', (error: NodeJS.ErrnoException) => {
    clearTimeout(timer)
    const isMissing = error.code === 'ENOENT'
    reject(isMissing ? failed(name, 'there is no kubectl on the PATH') : error)
  })
  kubectl.on('close', (code, ended) => {
    clearTimeout(timer)
    if (code === 0) resolve({ kind: 'stream', name, chunks: iterate(chunks) })
    else reject(failed(name, reasonOf(code, ended, complaint)))
  })
  return promise
}

function reasonOf(code: number | null, ended: string | null, complaint: string): string {
  if (ended !== null) return `it was ended by ${ended}`
  const said = complaint.trim()
  return said === '' ? `it ended with exit code ${code}` : said
}

function failed(name: string, reason: string): MaintenanceError {
  const advice = 'see that it works by itself, or give its output as an input (-)'
  return new MaintenanceError('refused', `\`${name}\` failed: ${reason}; ${advice}`)
}

async function* iterate(chunks: readonly Buffer[]): AsyncGenerator<Uint8Array> {
  yield* chunks
}
