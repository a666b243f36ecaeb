import { describe, expect, it } from 'vitest'
import { Summary } from '../../../bench/report/summary.ts'
import { judge } from '../../../bench/report/targets.ts'
import type { Target } from '../../../bench/work/work.ts'
import { BEST_PEER } from '../../../bench/work/work.ts'
import { COST, measured, RATE, WAIT, workWith } from './fixtures.ts'

const SUMMARY = new Summary([
  measured('oci-mirror', { [RATE]: 90, [COST]: 0.5, [WAIT]: 4 }),
  measured('nginx', { [RATE]: 100, [COST]: 0.4 }),
  measured('zot', { [RATE]: 40, [COST]: 0.9 }),
  measured('direct', { [RATE]: 5_000, [COST]: 0.01, [WAIT]: 1 }),
])

function verdictOn(target: Target) {
  return judge([workWith([target])], SUMMARY)[0]
}

describe('a target', () => {
  it('is a multiple of what one peer reaches', () => {
    const target = { figure: RATE, of: 'zot', least: { times: 2 }, aim: { times: 3 } }
    expect(verdictOn(target)).toMatchObject({ ours: 90, least: true, aim: false })
  })

  it('is an upper limit where less is better', () => {
    const target = { figure: COST, of: 'nginx', least: { times: 1.3 }, aim: { times: 1 } }
    expect(verdictOn(target)).toMatchObject({ least: true, aim: false })
  })

  it('is held against the best of the mirrors, which pulling direct is not', () => {
    const rate = { figure: RATE, of: BEST_PEER, least: { times: 0.8 }, aim: { times: 1 } }
    const best = { peer: 'nginx', value: 100 }
    expect(verdictOn(rate)).toMatchObject({ other: best, least: true, aim: false })
    const cost = { figure: COST, of: BEST_PEER, least: { times: 1 } }
    expect(verdictOn(cost)).toMatchObject({ other: { peer: 'nginx', value: 0.4 }, least: false })
  })

  it('may be so much more than something, or a plain number', () => {
    const above = { figure: WAIT, of: 'direct', least: { plus: 5 }, aim: { plus: 2 } }
    expect(verdictOn(above)).toMatchObject({ least: true, aim: false })
    const plain = { figure: WAIT, least: { plus: 4 }, aim: { plus: 3 } }
    expect(verdictOn(plain)).toMatchObject({ least: true, aim: false })
  })

  it('that nobody can judge is neither reached nor missed', () => {
    const verdict = verdictOn({ figure: RATE, of: 'harbor', least: { times: 1 } })
    expect(verdict).toMatchObject({ ours: 90 })
    expect(verdict).not.toHaveProperty('least')
    expect(verdict).not.toHaveProperty('other')
  })

  it('on a figure that the work does not have is an error', () => {
    expect(() => verdictOn({ figure: 'speed', least: {} })).toThrow('work has no row speed')
  })
})
