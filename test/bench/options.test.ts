import { describe, expect, it } from 'vitest'
import { readOptions } from '../../bench/options.ts'

const CHOICES = { works: ['manifests', 'herd'], peers: ['oci-mirror', 'nginx', 'zot'] }
const read = (...args: readonly string[]) => readOptions(args, CHOICES)

describe('the command line of the benchmark', () => {
  it('measures everything three times', () => {
    expect(read()).toEqual({ rounds: 3, ...CHOICES })
  })

  it('takes names one by one or together, and keeps the order of the report', () => {
    const options = read('--peer', 'zot,nginx', '--peer', 'oci-mirror', '--work', 'herd')
    expect(options).toMatchObject({ works: ['herd'], peers: ['oci-mirror', 'nginx', 'zot'] })
  })

  it('takes a file and a name for the report', () => {
    expect(read('--output', '/tmp/a.md', '--save', 'two-cores')).toMatchObject({
      output: '/tmp/a.md',
      save: 'two-cores',
    })
  })

  it.each([
    [['--work', 'blob'], 'There is no work "blob". There are: manifests, herd'],
    [['--peer', 'nginx,harbor'], 'There is no peer "harbor". There are: oci-mirror, nginx, zot'],
    [['--rounds', '0'], '--rounds has to be a whole number above 0, and is "0"'],
    [['--rounds', 'many'], 'and is "many"'],
    [['--save', '../x'], 'and not "../x"'],
    [['--fast'], '--fast'],
    [['herd'], 'herd'],
  ])('refuses %j', (args, message) => {
    expect(() => read(...args)).toThrow(message)
  })
})
