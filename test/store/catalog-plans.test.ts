import { join } from 'node:path'
import type { Statement } from 'better-sqlite3'
import Database from 'better-sqlite3'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { prepareStatements } from '../../src/store/catalog-statements.ts'
import { prepareInventory } from '../../src/store/inventory-statements.ts'
import { SqliteCatalog } from '../../src/store/sqlite-catalog.ts'
import { makeTempDir } from '../support/temp-dir.ts'

let dir: Awaited<ReturnType<typeof makeTempDir>>
let database: Database.Database

beforeAll(async () => {
  dir = await makeTempDir()
  const path = join(dir.path, 'catalog.db')
  await (await SqliteCatalog.open(path)).close()
  database = new Database(path)
})
afterAll(async () => {
  database.close()
  await dir.remove()
})

/** How SQLite finds the rows of children, which are the most of all tables'. */
function waysIntoChildren(source: string): readonly string[] {
  const blank = source.replace(/@\w+|\?/g, 'NULL')
  const plan = database.prepare<[], { readonly detail: string }>(`EXPLAIN QUERY PLAN ${blank}`)
  return plan
    .all()
    .map(({ detail }) => detail)
    .filter((detail) => /^(SCAN|SEARCH) (c|children)\b/.test(detail))
}

describe('what the catalog asks of SQLite', () => {
  it.each([
    ['image', () => prepareInventory(database).image],
    ['closure', () => prepareInventory(database).closure],
    ['entombUnlessPinned', () => prepareStatements(database).entombUnlessPinned],
    ['isKept', () => prepareStatements(database).isKept],
    ['isInPinned', () => prepareStatements(database).isInPinned],
    ['namedAt', () => prepareStatements(database).namedAt],
    ['forgetChildren', () => prepareStatements(database).forgetChildren],
  ] satisfies readonly (readonly [string, () => Pick<Statement, 'source'>])[])(
    'reads only the children that it is about: %s',
    (_, statement) => {
      const ways = waysIntoChildren(statement().source)
      expect(ways.length).toBeGreaterThan(0)
      for (const way of ways) expect(way).toMatch(/^SEARCH .*\b(digest|parent)=\?/)
    },
  )
})
