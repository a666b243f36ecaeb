import { describe, expect, it } from 'vitest'
import { asksForToken, parseChallenges, pickChallenge } from '../../src/upstream/challenge.ts'

function plain(...lines: readonly string[]): unknown {
  return parseChallenges(lines).map(({ scheme, parameters }) => [
    scheme,
    Object.fromEntries(parameters),
  ])
}

const HUB =
  'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/x:pull"'

describe('parseChallenges', () => {
  it.each([
    [
      'Docker Hub',
      [HUB],
      [
        [
          'bearer',
          {
            realm: 'https://auth.docker.io/token',
            service: 'registry.docker.io',
            scope: 'repository:library/x:pull',
          },
        ],
      ],
    ],
    [
      'nvcr.io, which names no service',
      ['Bearer realm="https://nvcr.io/proxy_auth",scope="repository:nvidia/cuda:pull,push"'],
      [
        [
          'bearer',
          { realm: 'https://nvcr.io/proxy_auth', scope: 'repository:nvidia/cuda:pull,push' },
        ],
      ],
    ],
    [
      'several challenges in one line',
      ['Basic realm="a, b", Bearer realm="https://t/",scope="x:pull,push", Negotiate'],
      [
        ['basic', { realm: 'a, b' }],
        ['bearer', { realm: 'https://t/', scope: 'x:pull,push' }],
        ['negotiate', {}],
      ],
    ],
    [
      'several lines',
      ['Basic realm=plain', 'BEARER Realm = "https://t/"'],
      [
        ['basic', { realm: 'plain' }],
        ['bearer', { realm: 'https://t/' }],
      ],
    ],
    [
      'a scheme with a blob instead of parameters',
      ['Negotiate YIIBa+/b==, Basic realm="r"'],
      [
        ['negotiate', {}],
        ['basic', { realm: 'r' }],
      ],
    ],
    ['escapes', ['Basic realm="a\\"b\\\\c"'], [['basic', { realm: 'a"b\\c' }]]],
    ['the first of two equal names', ['Basic realm="a",realm="b"'], [['basic', { realm: 'a' }]]],
    ['stray commas and blanks', [' ,, Basic  realm="a" ,\t'], [['basic', { realm: 'a' }]]],
    [
      'a quote that never closes',
      ['Basic realm="a", Bearer realm="b'],
      [
        ['basic', { realm: 'a' }],
        ['bearer', {}],
      ],
    ],
    [
      'a parameter without a value',
      ['Bearer service="s",realm=,scope="x"'],
      [['bearer', { service: 's' }]],
    ],
    ['garbage', ['"; DROP'], []],
    ['nothing', ['', ' '], []],
  ])('reads %s', (_, lines, expected) => {
    expect(plain(...lines)).toEqual(expected)
  })

  it('reads nothing of headers above 8 KiB in all', () => {
    const line = `${HUB},x="${'a'.repeat(4 * 1024)}"`
    expect(parseChallenges([line])).toHaveLength(1)
    expect(parseChallenges([line, line])).toEqual([])
  })

  it.each([
    ['open quotes', `Bearer ${'a="'.repeat(2_600)}`],
    ['blanks', `Bearer ${' '.repeat(8_000)}x`],
    ['equals signs', `Bearer a${'='.repeat(8_000)}x`],
    ['commas', ','.repeat(8_000)],
    ['schemes', 'a '.repeat(4_000)],
    ['parameters', `Bearer ${'a=b,'.repeat(2_000)}`],
  ])('reads 8 KB of %s in linear time', (_, line) => {
    const started = performance.now()
    for (let round = 0; round < 20; round += 1) parseChallenges([line])
    expect(performance.now() - started).toBeLessThan(2_000)
  })
})

describe('pickChallenge', () => {
  it.each([
    ['Bearer after Basic', ['Basic realm="r"', HUB], 'bearer'],
    ['Basic where a Bearer has no realm', ['Bearer service="s", Basic realm="r"'], 'basic'],
    ['Basic alone', ['Negotiate, Basic realm="r"'], 'basic'],
    ['neither', ['Digest realm="r"'], undefined],
  ])('picks %s', (_, lines, scheme) => {
    expect(pickChallenge(parseChallenges(lines))?.scheme).toBe(scheme)
    expect(asksForToken(lines)).toBe(scheme === 'bearer')
  })
})
