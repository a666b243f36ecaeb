import type { WarmedImage, WarmReport, WarmState } from '../core/airgap/warm-api.ts'
import { count, formatBytes } from './human.ts'
import { table } from './table.ts'

/** Where it is not all here that should be. */
export const LACKING: ReadonlySet<WarmState> = new Set(['failed', 'absent', 'skipped'])
const WORDS: Readonly<Partial<Record<WarmState, string>>> = { absent: 'not found' }

/** What a person is told when a warming has ended. */
export function warmLines(report: WarmReport): readonly string[] {
  const { images } = report
  const lacking = images.filter(({ state }) => LACKING.has(state))
  const noted = images.filter(({ state, reason }) => !LACKING.has(state) && reason !== undefined)
  const rows = [...lacking, ...noted].map(toRow)
  return [
    ...table(
      [
        { title: 'UPSTREAM' },
        { title: 'IMAGES', align: 'right' },
        { title: 'HERE', align: 'right' },
        { title: report.dryRun ? 'FETCH' : 'FETCHED', align: 'right' },
        { title: 'SIZE', align: 'right' },
        { title: 'ATTACHED', align: 'right' },
        { title: 'RATE LIMIT' },
      ],
      upstreamRows(report),
    ),
    totalLine(report),
    ...table([{ title: '' }, { title: '' }, { title: '' }], rows),
  ]
}

function upstreamRows({ upstreams, images }: WarmReport): readonly (readonly string[])[] {
  return upstreams.map(({ upstream, held, fetchBytes, attachments, rateLimit, ...all }) => {
    const own = images.filter(({ image }) => image.startsWith(`${upstream}/`))
    const fetched = own.filter(({ state }) => state === 'planned' || state === 'fetched').length
    const { remaining, limit } = rateLimit ?? {}
    const of = limit === undefined ? '' : ` of ${limit}`
    return [
      upstream,
      String(all.images),
      String(held),
      String(fetched),
      fetchBytes === 0 ? '-' : formatBytes(fetchBytes),
      String(attachments),
      remaining === undefined ? '-' : `${remaining}${of} pulls left`,
    ]
  })
}

function totalLine({ images, platforms, fetch, free, dryRun }: WarmReport): string {
  const { blobs, bytes, unsharedBytes } = fetch
  const done = dryRun ? 'to fetch' : 'fetched'
  const shared = unsharedBytes > bytes ? ` (${formatBytes(unsharedBytes)} before sharing)` : ''
  const left = free === undefined ? '' : `, ${formatBytes(free)} free`
  const what = platforms[0] === 'all' ? 'all platforms' : platforms.join(', ')
  const amount = `${count(blobs, 'blob')}, ${formatBytes(bytes)} ${done}${shared}`
  return `total ${count(images.length, 'image')} for ${what}: ${amount}${left}`
}

function toRow({ image, state, from, reason = '' }: WarmedImage): readonly string[] {
  const word = LACKING.has(state) ? (WORDS[state] ?? state) : 'note'
  return [word, from === undefined ? image : `${image} (${from})`, reason]
}
