import { describe, expect, it } from 'vitest'
import { Memo } from '../../src/core/memo.ts'

describe('a memo', () => {
  function counted() {
    const asked: string[] = []
    const compute = (text: string) => {
      asked.push(text)
      return text.toUpperCase()
    }
    return { asked, compute }
  }

  it('computes the answer for a text once', () => {
    const { asked, compute } = counted()
    const memo = new Memo<string>(10)
    expect([memo.recall('a', compute), memo.recall('a', compute)]).toEqual(['A', 'A'])
    expect(asked).toEqual(['a'])
  })

  it('keeps what is asked for all the time, and forgets what came long ago', () => {
    const { asked, compute } = counted()
    const memo = new Memo<string>(10)
    memo.recall('once', compute)
    for (let n = 0; n < 100; n += 1) {
      memo.recall('often', compute)
      memo.recall(`other ${n}`, compute)
    }
    memo.recall('once', compute)
    expect(asked.filter((text) => text === 'often')).toHaveLength(1)
    expect(asked.filter((text) => text === 'once')).toHaveLength(2)
  })

  it('does not keep what is long, or has failed', () => {
    const { asked, compute } = counted()
    const memo = new Memo<string>(10, 3)
    memo.recall('long', compute)
    memo.recall('long', compute)
    expect(asked).toHaveLength(2)
    const fail = () => {
      throw new Error('no')
    }
    expect(() => memo.recall('x', fail)).toThrow('no')
    expect(memo.recall('x', compute)).toBe('X')
  })
})
