import { existsSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { createMetrics } from '../src/observe/metrics.ts'
import { DESCRIPTIONS } from '../src/config/descriptions.ts'

const root = new URL('../', import.meta.url)
const readme = readFileSync(new URL('README.md', root), 'utf8')

/** Key and default of every row of the configuration table. */
function configurationRows(): ReadonlyMap<string, string> {
  const chapter = /^## Configuration$[\s\S]*?^## /m.exec(readme)?.[0] ?? ''
  const rows = chapter.matchAll(/^\| `([a-zA-Z.<>]+)` +\| ([^|]*?) +\|/gm)
  return new Map(
    [...rows].map(([, key = '', byDefault = '']) => [key.replace(/<\w+>/, '*'), byDefault]),
  )
}

/** Keys that hold others are explained by those. */
function isLeaf(key: string): boolean {
  return (
    key === 'upstreams' || ![...DESCRIPTIONS.keys()].some((other) => other.startsWith(`${key}.`))
  )
}

describe('README.md', () => {
  it('explains every configuration key and no other', () => {
    const keys = [...DESCRIPTIONS.keys()].filter(isLeaf)
    expect([...configurationRows().keys()].toSorted()).toEqual(keys.toSorted())
  })

  it('tells the defaults that the schema tells', () => {
    const rows = configurationRows()
    const stated = [...DESCRIPTIONS].flatMap(([key, text]) => {
      const value = /Default: ([\w./:%-]*\w%?)\.$/.exec(text)?.[1]
      return value === undefined || value === 'none' ? [] : [[key, `\`${value}\``] as const]
    })
    expect(stated.length).toBeGreaterThan(10)
    expect(stated.map(([key]) => [key, rows.get(key)])).toEqual(stated)
  })

  it('names no metric that the mirror does not have', async () => {
    const store = {
      totals: async () => ({ bytes: 0, blobs: 0 }),
      space: async () => ({ total: 0, free: 0 }),
      maxSize: 1,
    }
    const { body } = await createMetrics({ version: '0', upstreams: [], store }).render()
    const named = new Set(readme.match(/\b(?:oci_mirror|nodejs|process)_[a-z0-9_]+[a-z0-9]/g))
    expect(named.size).toBeGreaterThan(15)
    expect([...named].filter((name) => !body.includes(`# TYPE ${name} `))).toEqual([])
  })

  it.each(['README.md', 'ARCHITECTURE.md', 'CHANGELOG.md'])('has no dead link in %s', (file) => {
    const text = readFileSync(new URL(file, root), 'utf8')
    const targets = [...text.matchAll(/\]\((?!https?:)([^)#]+)/g)].map(([, path = '']) => path)
    expect(targets.filter((path) => !existsSync(new URL(path, root)))).toEqual([])
  })
})
