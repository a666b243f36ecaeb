import { check } from 'prettier'
import { describe, expect, it } from 'vitest'
import { formatNumber, formatPart } from '../../../bench/report/format.ts'
import type { Report } from '../../../bench/report/render.ts'
import { renderReport } from '../../../bench/report/render.ts'
import { COST, measured, RATE, workWith } from './fixtures.ts'

const OURS = { name: 'oci-mirror', version: '1' }
const NGINX = { name: 'nginx', version: '1.22' }

function render(report: Partial<Report>): readonly string[] {
  const nothing = { facts: ['2 cores'], missing: [], measurements: [], othersBetween: 0 }
  const works = [workWith()]
  const text = renderReport({ ...nothing, rounds: 3, works, peers: [OURS, NGINX], ...report })
  return text.split('\n').map((line) => line.replaceAll(/ {2,}(?=\S)/g, ' '))
}

describe('the report', () => {
  it('has median, spread and our figure divided by theirs', () => {
    const lines = render({
      measurements: [
        ...[12_000, 10_000, 11_000].map((rate) => measured('oci-mirror', { [RATE]: rate })),
        ...[22_000, 21_000, 24_000].map((rate) => measured('nginx', { [RATE]: rate })),
      ],
    })
    expect(lines).toContain('| | oci-mirror | nginx |')
    expect(lines).toContain(
      '| requests/s ↑ | 11,000 (10,000–12,000) | 22,000 (21,000–24,000) × 0.500 |',
    )
    expect(lines).toContain('- nginx 1.22')
  })

  it('has a peer that cannot be had as missing, never as zero', () => {
    const lines = render({
      missing: [{ name: 'zot', reason: 'BENCH_ZOT does not\nname it' }],
      measurements: [measured('oci-mirror', { [RATE]: 1 })],
    })
    expect(lines).toContain('- zot: **missing**: BENCH_ZOT does not name it')
    expect(lines).toContain('| requests/s ↑ | 1.00 | missing |')
  })

  it('tells what failed, and shows the rounds that did not', () => {
    const lines = render({
      measurements: [
        measured('oci-mirror', { [RATE]: 2 }),
        measured('oci-mirror', {}, { round: 1, failed: 'it ended:\nout of | memory' }),
        measured('nginx', {}, { failed: '12 answers were errors' }),
      ],
    })
    expect(lines).toContain('| requests/s ↑ | 2.00 | failed |')
    expect(lines).toContain('- oci-mirror failed in round 2: it ended: out of \\| memory')
    expect(lines).toContain('- nginx failed in round 1: 12 answers were errors')
  })

  it('has words where a figure could not be had', () => {
    const lines = render({
      measurements: [
        measured('oci-mirror', { [RATE]: 'not after 30 s', [COST]: 0 }),
        measured('nginx', { [RATE]: 5, [COST]: 0 }),
        measured('nginx', { [RATE]: 'not after 30 s', [COST]: 0 }),
      ],
    })
    expect(lines).toContain('| requests/s ↑ | not after 30 s | 5.00 (once not after 30 s) |')
    expect(lines).toContain('| CPU-s/GiB ↓ | 0 | 0 |')
  })

  it('marks what other programs disturbed, and says how much', () => {
    const lines = render({
      measurements: [measured('oci-mirror', {}), measured('nginx', {}, { others: 0.34 })],
      othersBetween: 0.02,
    })
    expect(lines).toContain(
      '- **disturbed**: other programs had at most 34 % of the cores during measurements, 2 % between',
    )
    expect(lines).toContain(
      '- **Disturbed**: in 1 of 2 measurements other programs had up to 34 % of the cores.',
    )
    expect(render({}).join('\n')).toContain('- undisturbed: ')
  })

  it('is formatted as all other files are', async () => {
    const text = renderReport({
      facts: ['2 cores'],
      rounds: 1,
      works: [workWith([{ figure: RATE, least: { plus: 1 } }])],
      peers: [OURS, NGINX],
      missing: [{ name: 'zot', reason: 'BENCH_ZOT does not name its binary' }],
      measurements: [
        measured('oci-mirror', { [RATE]: 12 }),
        measured('nginx', {}, { failed: 'it ended' }),
      ],
      othersBetween: 0.5,
    })
    expect(await check(text, { parser: 'markdown' })).toBe(true)
  })

  it('ends with the targets', () => {
    const targets = [
      { figure: RATE, of: 'nginx', least: { times: 0.5 }, aim: { times: 1 } },
      { figure: COST, least: { plus: 256 } },
    ]
    const lines = render({
      works: [workWith(targets)],
      measurements: [measured('oci-mirror', { [RATE]: 6 }), measured('nginx', { [RATE]: 10 })],
    })
    expect(lines).toContain(
      '| work | requests/s | 6.00 | nginx 10.0 | × 0.600 | ≥ × 0.5 | reached | ≥ × 1 | **not reached** |',
    )
    expect(lines).toContain('| work | CPU-s/GiB | no figure | | | ≤ 256 | not known | | |')
  })
})

describe('a number', () => {
  it.each([
    [12_345.6, '12,346'],
    [123.4, '123'],
    [12.34, '12.3'],
    [0.012_345, '0.0123'],
    [0, '0'],
  ])('%d is written %s', (value, text) => {
    expect(formatNumber(value)).toBe(text)
  })

  it('that is a part is written in percent', () => {
    expect(formatPart(0.126)).toBe('13 %')
  })
})
