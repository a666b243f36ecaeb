import { createHash } from 'node:crypto'
import type { Hash } from 'node:crypto'
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import type { DownloadMessage, DownloadRequest, DownloadResult } from './download.ts'
import { readHead } from './response-head.ts'

// Run by download.ts. All connections read into one piece of memory that stays in the processor's cache:
// whoever measures 3,000 MB/s must not pay for more than the kernel's own copy.
const request = JSON.parse(process.argv[2] ?? '') as DownloadRequest
const { clients, times, deadlineMs } = request
const BUFFER = Buffer.allocUnsafeSlow(128 * 1024)

interface Target {
  readonly url: string
  readonly size: number
}

const WARM_UPS = 20
const firstBytesMs: number[] = []
const digests: string[] = []
const open = new Set<Socket>()
let received = 0
let finished = 0
let isOver = false

/** Resolves when all of the body is here, or when the time is over. */
function fetchOnce({ url, size }: Target): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const { hostname, port, pathname } = new URL(url)
  const hash = request.hashed ? createHash('sha256') : undefined
  const body = new Body(size, hash)
  const callback = (length: number): boolean => {
    try {
      body.add(BUFFER.subarray(0, length))
    } catch (error) {
      // Nobody would catch it: this is called by the event loop.
      reject(error)
      return false
    }
    if (body.missing > 0) return mayGoOn(socket)
    resolve()
    return false
  }
  const socket = connect({
    host: hostname,
    port: Number(port),
    onread: { buffer: BUFFER, callback },
  })
  open.add(socket)
  socket.once('connect', () =>
    socket.write(`GET ${pathname} HTTP/1.1\r\nHost: ${hostname}:${port}\r\nAccept: */*\r\n\r\n`),
  )
  socket.once('error', reject)
  socket.once('close', () => {
    if (isOver) resolve()
    else reject(new Error(`${url} ended ${body.missing} bytes too early`))
  })
  return promise.finally(() => {
    open.delete(socket)
    socket.destroy()
    if (isOver) return
    finished += 1
    if (hash !== undefined) digests.push(`sha256:${hash.digest('hex')}`)
  })
}

/**
 * The event loop reads a connection on until it is empty. While others still wait for their first byte
 * each gets one turn: theirs has to be measured, not our own queue.
 */
function mayGoOn(socket: Socket): boolean {
  if (firstBytesMs.length >= clients) return true
  setImmediate(() => socket.resume())
  return false
}

/** The answer to one request, as it comes, from the moment that its connection is opened. */
class Body {
  missing: number
  #head: string | undefined = ''
  readonly #begun = performance.now()
  readonly #size: number
  readonly #hash: Hash | undefined

  constructor(size: number, hash: Hash | undefined) {
    this.#size = size
    this.missing = size
    this.#hash = hash
  }

  add(bytes: Buffer): void {
    const body = this.#head === undefined ? bytes : this.#behindHead(this.#head, bytes)
    if (body.length === 0) return
    if (this.missing === this.#size) firstBytesMs.push(performance.now() - this.#begun)
    this.missing -= body.length
    received += body.length
    this.#hash?.update(body)
  }

  #behindHead(before: string, bytes: Buffer): Buffer {
    const head = before + bytes.toString('latin1')
    const start = readHead(head, this.#size)
    this.#head = start === undefined ? head : undefined
    return start === undefined
      ? bytes.subarray(bytes.length)
      : bytes.subarray(start - before.length)
  }
}

async function client(): Promise<void> {
  for (let n = 0; n < times; n += 1) {
    if (isOver) return
    await fetchOnce(request)
  }
}

/** Against a server of our own: what a program does for the first time takes it milliseconds. */
async function warmUp(): Promise<void> {
  const server = createServer((socket) => {
    socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n-'))
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
  for (let n = 0; n < WARM_UPS; n += 1) await fetchOnce({ url, size: 1 })
  server.close()
  for (const counted of [firstBytesMs, digests]) counted.length = 0
  received = 0
  finished = 0
}

async function run(): Promise<DownloadResult> {
  await warmUp()
  const begun = performance.now()
  const deadline = setTimeout(() => {
    isOver = true
    for (const socket of open) socket.destroy()
  }, deadlineMs)
  await Promise.all(Array.from({ length: clients }, client))
  clearTimeout(deadline)
  const unfinished = clients * times - finished
  const totalMs = performance.now() - begun
  return { totalMs, receivedBytes: received, firstBytesMs, unfinished, digests }
}

const message = await run().then(
  (result): DownloadMessage => ({ kind: 'done', result }),
  (error: unknown): DownloadMessage => ({ kind: 'failed', reason: String(error) }),
)
process.send?.(message, () => process.exit())
