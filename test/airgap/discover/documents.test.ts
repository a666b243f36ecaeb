import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseJsonDocuments } from '../../../src/airgap/discover/parse-json.ts'
import { parseYamlDocuments } from '../../../src/airgap/discover/parse-yaml.ts'
import type { Tree } from '../../../src/airgap/discover/tree.ts'
import { UnreadableDocument } from '../../../src/airgap/discover/tree.ts'

/** As it was before it was written; numbers and the like as texts. */
function plain(tree: Tree): unknown {
  if (tree.kind === 'scalar') return tree.text
  if (tree.kind === 'list') return tree.items.map(plain)
  return [...tree.entries].map(([key, value]) => [key, plain(value)])
}

function expected(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(expected)
  if (typeof value === 'object' && value !== null) {
    return Object.entries(value).map(([key, inner]) => [key, expected(inner)])
  }
  return value === null ? '' : typeof value === 'string' ? value : JSON.stringify(value)
}

function yaml(text: string, maxLexemes?: number): readonly unknown[] {
  return [...parseYamlDocuments(text, maxLexemes)].map((each) =>
    each instanceof UnreadableDocument ? each.message : plain(each),
  )
}

function* takeJson(text: string): Generator<Tree | string> {
  try {
    yield* parseJsonDocuments(text)
  } catch (error) {
    yield String(error instanceof UnreadableDocument ? error.message : error)
  }
}

describe('JSON', () => {
  it('is read as JSON.parse reads it', () => {
    const json = fc.jsonValue({ maxDepth: 6 })
    fc.assert(
      fc.property(json, fc.nat(4), (value, indent) => {
        const [tree, ...more] = parseJsonDocuments(JSON.stringify(value, null, indent))
        // Through JSON, which has no -0 and no undefined.
        expect(tree && plain(tree)).toEqual(expected(JSON.parse(JSON.stringify(value))))
        expect(more).toEqual([])
      }),
    )
  })

  it('is refused with more values than there is memory for', () => {
    const [, ...rest] = [...takeJson(`{}[${'1,'.repeat(4_000_000)}1]`)]
    expect(rest).toEqual(['JSON: it has more than 4,000,000 values: split it'])
  })

  it.each([
    '{"a":1,}',
    '[1,]',
    '{a:1}',
    '{"a" 1}',
    '[1 2]',
    '"open',
    String.raw`"\x"`,
    '"a\nb"',
    '01',
    '1.',
    'nul',
    'truely',
    '-',
    '[',
    '{"a":',
    '{,}',
    "{'a':1}",
  ])('is refused where JSON.parse refuses it: %s', (text) => {
    expect(() => JSON.parse(text)).toThrow(SyntaxError)
    expect(() => [...parseJsonDocuments(text)]).toThrow(UnreadableDocument)
  })

  it('has the lines of its values, and quotes nothing in what it refuses', () => {
    const [tree] = parseJsonDocuments('\n{\n "a": [\n1,\n"x"]\n}')
    expect(tree).toMatchObject({ kind: 'map', line: 2 })
    const list = tree?.kind === 'map' ? tree.entries.get('a') : undefined
    expect(list).toMatchObject({ line: 3, items: [{ line: 4 }, { line: 5, text: 'x' }] })
    const refuse = () => [...parseJsonDocuments('{"password": "hunter2\\q"}')]
    expect(refuse).toThrow(/^JSON: this is no text as JSON has it$/)
  })
})

describe('YAML', () => {
  it('keeps numbers as they are written', () => {
    expect(yaml('[1.10, 0x1F, 1e3, true, null, ~, "7", 2026-08-01]')).toEqual([
      ['1.10', '0x1F', '1e3', 'true', '', '', '7', '2026-08-01'],
    ])
  })

  it('goes on after a document that is broken', () => {
    expect(yaml('a: 1\n---\nb: [\n---\nc: 3\n')).toEqual([
      [['a', '1']],
      expect.stringMatching(/^YAML: /),
      [['c', '3']],
    ])
  })

  it('puts what a map says itself before what it merges', () => {
    const text = 'x: &x { a: 1, b: 2 }\ny: &y { b: 3, c: 4 }\nz: { <<: [*x, *y], a: 9 }\n'
    const [document] = yaml(text) as [readonly (readonly [string, unknown])[]]
    expect(Object.fromEntries(document)['z']).toEqual([
      ['a', '9'],
      ['b', '2'],
      ['c', '4'],
    ])
  })

  it('refuses aliases that multiply, at once', () => {
    const bomb = ['a0: &a0 [1,1,1,1,1,1,1,1,1,1]']
    for (let n = 1; n < 30; n += 1) {
      bomb.push(`a${n}: &a${n} [${Array.from({ length: 10 }, () => `*a${n - 1}`).join()}]`)
    }
    expect(yaml(bomb.join('\n'))).toEqual([
      'YAML: with its aliases it has more than 2,000,000 values',
    ])
  })

  it('refuses aliases that repeat a long text, before it is looked through', () => {
    const text = `a: &a |\n  ${'x'.repeat(100_000)}\nb:\n${'  - *a\n'.repeat(1000)}`
    expect(yaml(text)).toEqual(['YAML: its aliases repeat more than 32 MiB'])
  })

  it.each([
    ['brackets', `a: ${'['.repeat(10_000)}`, 'YAML: it is nested too deep'],
    ['items', '- '.repeat(5_000), 'YAML: it is nested too deep'],
    [
      'faults',
      `a: b\n${'\t- x: }\n'.repeat(2_000)}`,
      'YAML: it has more than 100 faults: the rest was not read',
    ],
    [
      'values',
      `a:${'\n- '.repeat(10_000)}`,
      'YAML: a document has more than 20,000 words and marks: split it, or give it as JSON',
    ],
  ])('refuses more %s than there is memory for, and gives what came before', (_, text, message) => {
    const documents = yaml(`x: y\n---\n${text}`, 20_000)
    expect([documents.at(0), documents.at(-1)]).toEqual([[['x', 'y']], message])
    expect(documents.length).toBeLessThanOrEqual(3)
  })

  it('refuses aliases that nest, and one of itself', () => {
    const chain = ['a0: &a0 [1]']
    for (let n = 1; n < 300; n += 1) chain.push(`a${n}: &a${n} [*a${n - 1}]`)
    expect(yaml(chain.join('\n'))).toEqual(['YAML: it is nested deeper than 100 levels'])
    expect(yaml('a: &a [*a]')).toEqual(['YAML: an alias of nothing'])
  })

  it('quotes nothing in what it refuses', () => {
    const [problem] = yaml('password: "hunter2\n')
    expect(problem).toMatch(/^YAML: /)
    expect(problem).not.toContain('hunter2')
  })

  it('reads any text without an error of its own', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 200 }), (text) => {
        const kinds = [...parseYamlDocuments(text)].map((each) =>
          each instanceof UnreadableDocument ? each.message.slice(0, 6) : each.kind,
        )
        expect(['YAML: ', 'map', 'list', 'scalar']).toEqual(expect.arrayContaining(kinds))
      }),
    )
  })
})
