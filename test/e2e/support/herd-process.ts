import { createHash } from 'node:crypto'
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { get } from 'node:http'
import type { HerdMessage, HerdRequest } from './herd.ts'

// Run by herd.ts as a process of its own: thirty clients that hash take a core.
const { url, clients, leavesAfter } = JSON.parse(process.argv[2] ?? '') as HerdRequest

/** The first one starts the download, and hangs up in the middle of it. */
async function leaver(): Promise<void> {
  const response = await open()
  started.resolve()
  let received = 0
  for await (const chunk of response as AsyncIterable<Buffer>) {
    received += chunk.length
    if (received >= leavesAfter) break
  }
  response.destroy()
}

async function stayer(onFirstByte: () => void): Promise<string> {
  const response = await open()
  if (response.statusCode !== 200) throw new Error(`status ${response.statusCode} from ${url}`)
  const hash = createHash('sha256')
  response.once('data', onFirstByte)
  response.on('data', (chunk: Buffer) => hash.update(chunk))
  await once(response, 'end')
  return `sha256:${hash.digest('hex')}`
}

async function open(): Promise<IncomingMessage> {
  const [response] = (await once(get(url, { agent: false }), 'response')) as [IncomingMessage]
  return response
}

function tell(message: HerdMessage): void {
  process.send?.(message)
}

const started = Promise.withResolvers<void>()
const left = leaver()
await started.promise
const firsts: Promise<void>[] = []
const stayers = Array.from({ length: clients - 1 }, () => {
  const first = Promise.withResolvers<void>()
  firsts.push(first.promise)
  return stayer(first.resolve)
})
const all = Promise.all(stayers)
await Promise.race([Promise.all([left, ...firsts]), all])
tell({ kind: 'streaming' })
tell({ kind: 'done', digests: await all })
process.disconnect?.()
