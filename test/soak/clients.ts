import type { TestBlob } from '../support/images.ts'
import type { Random } from '../torture/random.ts'
import { pick } from '../torture/random.ts'
import type { Pulled } from './puller.ts'
import { digestOfBytes, Puller } from './puller.ts'
import type { Shelf, Stock } from './stock.ts'
import { ODDMENTS, TAG } from './stock.ts'
import type { Tally } from './tally.ts'
import type { WeatherMaker } from './weather.ts'
import { rest } from './weather.ts'

const HERD = 12
const KIB = 1024

interface World {
  readonly url: string
  readonly stock: Stock
  readonly tally: Tally
  readonly weather: WeatherMaker
  readonly random: Random
}

/** Wrong bytes: never an excuse. */
class WrongBytes extends Error {
  override readonly name = 'WrongBytes'
}

/** What a client does in one go; resolves with the bytes that it got. */
type Habit = (world: World, puller: Puller) => Promise<number>

/** By how often each is met. */
const HABITS: readonly (readonly [kind: string, weight: number, habit: Habit])[] = [
  ['whole image', 6, pullImage],
  ['range', 4, pullRange],
  ['abandoned', 3, abandon],
  ['slow', 1, pullSlowly],
  ['herd', 1, pullAsHerd],
  ['HEAD', 3, askHead],
  ['tag list', 1, listTags],
  ['larger than the quota', 0.3, pullGiant],
  ['poison', 0.5, pullPoison],
]

/** One client after the other, each with a habit, until the signal aborts. */
export async function runClients(world: World, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const [kind, , habit] = anyHabit(world.random)
    const began = performance.now()
    const puller = new Puller(world.url)
    try {
      world.tally.pulled(kind, await habit(world, puller))
    } catch (reason) {
      if (reason instanceof WrongBytes) world.tally.wrong(`${kind}: ${reason.message}`)
      else world.tally.failed(kind, reason, world.weather.since(began))
    } finally {
      puller.close()
    }
    await rest(20 + 80 * world.random(), signal)
  }
}

async function pullImage({ stock, random }: World, puller: Puller): Promise<number> {
  const { repository, images } = anyShelf(stock, random)
  const tagged = await puller.pull(`/v2/${repository}/manifests/${TAG}`)
  const image = images.find(({ manifest }) => manifest.digest === digestOfBytes(tagged.bytes))
  if (image === undefined) throw new WrongBytes(`${repository}:${TAG} is neither of its images`)
  const blobs = [image.config, ...image.layers]
  const taken = await Promise.all(blobs.map((blob) => takeWhole(puller, repository, blob)))
  return tagged.bytes.length + sum(taken)
}

async function pullRange({ stock, random }: World, puller: Puller): Promise<number> {
  const { repository, layer } = anyLayer(stock, random)
  const start = Math.floor(random() * layer.size)
  const length = 1 + Math.floor(random() * 512 * KIB)
  const end = Math.min(start + length, layer.size)
  const [range, expected] = pick(random, [
    [`bytes=${start}-${end - 1}`, layer.bytes.subarray(start, end)],
    [`bytes=${start}-`, layer.bytes.subarray(start)],
    [`bytes=-${length}`, layer.bytes.subarray(-length)],
  ] as const)
  const { bytes } = await puller.pull(pathOf(repository, layer), { range })
  if (!bytes.equals(expected)) throw new WrongBytes(`${range} of ${layer.digest}`)
  return bytes.length
}

async function abandon({ stock, random }: World, puller: Puller): Promise<number> {
  const { repository, layer } = anyLayer(stock, random)
  const leaveAfter = 1 + Math.floor(random() * layer.size)
  const { bytes } = await puller.pull(pathOf(repository, layer), { leaveAfter })
  if (!bytes.equals(layer.bytes.subarray(0, bytes.length))) throw new WrongBytes(layer.digest)
  return bytes.length
}

async function pullSlowly({ stock, random }: World, puller: Puller): Promise<number> {
  const { repository, layer } = anyLayer(stock, random)
  return takeWhole(puller, repository, layer, 60)
}

async function pullAsHerd({ url, stock, random }: World): Promise<number> {
  const { repository, layer } = anyLayer(stock, random)
  const herd = Array.from({ length: HERD }, () => new Puller(url))
  try {
    return sum(await Promise.all(herd.map((one) => takeWhole(one, repository, layer))))
  } finally {
    for (const one of herd) one.close()
  }
}

async function askHead({ stock, random }: World, puller: Puller): Promise<number> {
  const { repository, layer } = anyLayer(stock, random)
  const { headers } = await puller.pull(pathOf(repository, layer), { method: 'HEAD' })
  if (headers['content-length'] !== String(layer.size))
    throw new WrongBytes(`size of ${layer.digest}`)
  await puller.pull(`/v2/${repository}/manifests/${TAG}`, { method: 'HEAD' })
  return 0
}

async function listTags({ stock, random }: World, puller: Puller): Promise<number> {
  const { repository } = anyShelf(stock, random)
  const { bytes } = await puller.pull(`/v2/${repository}/tags/list`)
  const { tags } = JSON.parse(bytes.toString()) as { readonly tags: readonly string[] }
  if (!tags.includes(TAG)) throw new WrongBytes(`the tags of ${repository}`)
  return bytes.length
}

function pullGiant({ stock }: World, puller: Puller): Promise<number> {
  return takeWhole(puller, ODDMENTS, stock.giant)
}

/** Its bytes are never right, so it may not come whole. */
async function pullPoison({ stock: { poison } }: World, puller: Puller): Promise<number> {
  let pulled: Pulled
  try {
    pulled = await puller.pull(pathOf(ODDMENTS, poison))
  } catch {
    // Refused, or cut short: as it has to be.
    return 0
  }
  throw new WrongBytes(`a whole ${poison.digest} of ${pulled.bytes.length} bytes`)
}

async function takeWhole(
  puller: Puller,
  repository: string,
  blob: TestBlob,
  pace?: number,
): Promise<number> {
  const { bytes } = await puller.pull(pathOf(repository, blob), pace === undefined ? {} : { pace })
  if (digestOfBytes(bytes) !== blob.digest) throw new WrongBytes(blob.digest)
  return bytes.length
}

function pathOf(repository: string, { digest }: TestBlob): string {
  return `/v2/${repository}/blobs/${digest}`
}

/** A few are asked for often, most of them rarely. */
function anyShelf({ shelves }: Stock, random: Random): Shelf {
  return pick(random, shelves.slice(0, Math.ceil(shelves.length * random() ** 2)))
}

function anyLayer(
  stock: Stock,
  random: Random,
): { readonly repository: string; readonly layer: TestBlob } {
  const { repository, images } = anyShelf(stock, random)
  return { repository, layer: pick(random, pick(random, images).layers) }
}

function anyHabit(random: Random): (typeof HABITS)[number] {
  const total = sum(HABITS.map(([, weight]) => weight))
  let left = random() * total
  for (const habit of HABITS) {
    left -= habit[1]
    if (left <= 0) return habit
  }
  return pick(random, HABITS)
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0)
}
