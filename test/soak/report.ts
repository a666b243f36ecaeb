import type { Tally } from './tally.ts'

const MIB = 1024 * 1024
const MINUTE = 60
/** A run that is shorter has no minute after the second one to compare. */
const JUDGED_FROM_SECONDS = 3 * MINUTE
const MAX_GROWTH = 1.1
const SHOWN = 20

interface Facts {
  readonly quota: number
  readonly clients: number
  readonly faults: number
  readonly outages: number
  /** Lines of the mirror's log with the level `error`. */
  readonly errors: readonly Readonly<Record<string, unknown>>[]
}

/** What was not as it has to be. */
export function judge(tally: Tally): readonly string[] {
  const verdict = [...tally.forbidden]
  if (tally.overQuota > 0) {
    verdict.push(`the disk was over the quota at ${tally.overQuota} looks at it`)
  }
  if (tally.pulls.size === 0) verdict.push('nothing was pulled')
  const growth = memoryGrowth(tally)
  if (growth !== undefined && growth > MAX_GROWTH) {
    verdict.push(`memory grew to ${growth.toFixed(2)} times that of the second minute`)
  }
  return verdict
}

export function summary(tally: Tally, facts: Facts, verdict: readonly string[]): string {
  const growth = memoryGrowth(tally)
  const kinds = [...tally.pulls].map(([kind, count]) => `${count} ${kind}`).join(', ')
  const lines = [
    `${tally.seconds().toFixed(0)} s with ${facts.clients} clients, ${facts.faults} faults and ${facts.outages} outages`,
    `pulls: ${kinds}`,
    `       ${(tally.bytes / MIB / 1024).toFixed(1)} GiB in all; ${tally.excused} failed during outages, as they may`,
    `disk:  at most ${(tally.peakDisk / MIB).toFixed(1)} MiB of ${(facts.quota / MIB).toFixed(1)} MiB`,
    `memory: at most ${(tally.peakMemory() / MIB).toFixed(0)} MiB; last minute / second minute: ${growth?.toFixed(2) ?? 'needs three minutes'}`,
    ...memoryByMinute(tally),
    `errors in the log: ${countByMessage(facts.errors)}`,
    verdict.length === 0
      ? 'nothing was wrong'
      : `WRONG, ${verdict.length}:\n${verdict.slice(0, SHOWN).join('\n')}`,
  ]
  return `${lines.join('\n')}\n`
}

function memoryGrowth(tally: Tally): number | undefined {
  const end = tally.seconds()
  const second = tally.meanMemory(MINUTE, 2 * MINUTE)
  const last = tally.meanMemory(end - MINUTE, end)
  if (end < JUDGED_FROM_SECONDS || second === undefined || last === undefined) return undefined
  return last.resident / second.resident
}

/** What grows without end shows here, and what of it. */
function memoryByMinute(tally: Tally): readonly string[] {
  const lines: string[] = []
  for (let at = 0; at + MINUTE <= tally.seconds(); at += MINUTE) {
    const mean = tally.meanMemory(at, at + MINUTE)
    if (mean === undefined) continue
    const [resident, heap, external] = [mean.resident, mean.heap, mean.external].map((bytes) =>
      (bytes / MIB).toFixed(0).padStart(4),
    )
    const minute = String(at / MINUTE + 1).padStart(3)
    lines.push(`  minute ${minute}: ${resident} MiB, of it ${heap} heap and ${external} buffers`)
  }
  return lines
}

function countByMessage(lines: Facts['errors']): string {
  const counts = new Map<string, number>()
  for (const { msg } of lines) counts.set(String(msg), (counts.get(String(msg)) ?? 0) + 1)
  return [...counts].map(([message, count]) => `${count} × "${message}"`).join(', ') || 'none'
}
