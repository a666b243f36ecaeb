import { describe, expect, it } from 'vitest'
import { compare, ratiosOf } from '../../../bench/report/guard.ts'
import { Summary } from '../../../bench/report/summary.ts'
import { COST, measured, RATE, WAIT, workWith } from './fixtures.ts'

const WORKS = [workWith()]

function lost(before: object, now: object): readonly string[] {
  return compare(WORKS, { work: { ...before } }, { work: { ...now } })
    .filter(({ isLost }) => isLost)
    .map(({ text }) => text)
}

describe('the recorded ratios', () => {
  it('are our figures divided by theirs', () => {
    const summary = new Summary([
      measured('oci-mirror', { [RATE]: 50, [COST]: 1, [WAIT]: 3 }),
      measured('nginx', { [RATE]: 150, [COST]: 0 }),
    ])
    expect(ratiosOf(WORKS, ['nginx'], summary)).toEqual({
      work: { [RATE]: { nginx: 0.333 }, [COST]: {}, [WAIT]: {} },
    })
  })

  it('stand next to the ones of now', () => {
    const before = { work: { [RATE]: { nginx: 0.5 } } }
    const now = { work: { [RATE]: { nginx: 0.6 } } }
    expect(compare(WORKS, before, now)[0]).toEqual({
      text: 'work, requests/s: × 0.600 to nginx (× 0.500)',
      isLost: false,
    })
  })
})

describe('a loss', () => {
  it('is less than half of what was reached', () => {
    expect(lost({ [RATE]: { nginx: 0.5 } }, { [RATE]: { nginx: 0.26 } })).toEqual([])
    expect(lost({ [RATE]: { nginx: 0.5 } }, { [RATE]: { nginx: 0.24 } })).toEqual([
      'work, requests/s: × 0.240 to nginx (× 0.500)',
    ])
  })

  it('is more than twice of what was needed', () => {
    expect(lost({ [COST]: { nginx: 2 } }, { [COST]: { nginx: 3.9 } })).toEqual([])
    expect(lost({ [COST]: { nginx: 2 } }, { [COST]: { nginx: 4.1 } })).toHaveLength(1)
  })

  it('is one to all peers: one that got faster by itself is none', () => {
    const before = { [RATE]: { nginx: 0.5, zot: 2 } }
    expect(lost(before, { [RATE]: { nginx: 0.1, zot: 1.9 } })).toEqual([])
    expect(lost(before, { [RATE]: { nginx: 0.1, zot: 0.9 } })).toHaveLength(1)
  })

  it('is a figure that is not there any more', () => {
    expect(lost({ [RATE]: { nginx: 0.5 } }, { [RATE]: {} })).toEqual([
      'work, requests/s: none to nginx (× 0.500)',
    ])
  })

  it('is none where nothing was recorded', () => {
    expect(lost({}, { [RATE]: { nginx: 0.1 } })).toEqual([])
  })

  it('is none in what differs from run to run anyway', () => {
    expect(lost({ [WAIT]: { nginx: 1 } }, { [WAIT]: { nginx: 9 } })).toEqual([])
  })
})
