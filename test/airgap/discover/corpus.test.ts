import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { ImageLists } from '../../../src/airgap/discover/image-lists.ts'
import { formatProblem } from '../../../src/airgap/discover/image-lists.ts'
import { readImageLists } from '../../../src/airgap/discover/read-image-lists.ts'

const CORPUS = join(import.meta.dirname, 'corpus')
const CASES = await readdir(CORPUS)

/** What a case has in `expected.json`: full names, each with the lines and paths where it stands. */
interface Expected {
  readonly env?: Readonly<Record<string, string>>
  readonly images: Readonly<Record<string, readonly string[]>>
  /** The first place of each, and the reason. */
  readonly maybe: Readonly<Record<string, string>>
  readonly problems: readonly string[]
  readonly notes: readonly string[]
}

function summarize({ images, maybe, problems, notes }: ImageLists): Expected {
  return {
    images: Object.fromEntries(
      images.map(({ reference, occurrences }) => [
        reference,
        occurrences.map(({ line, path = '' }) => `${line}: ${path}`.trim()),
      ]),
    ),
    maybe: Object.fromEntries(
      maybe.map(({ reference, reason, occurrences: [first] }) => [
        reference,
        `${first?.line}: ${first?.path ?? ''}: ${reason}`,
      ]),
    ),
    problems: problems.map(formatProblem),
    notes,
  }
}

describe('discovers what is to be discovered in', () => {
  it.each(CASES)('%s', async (name) => {
    const text = await readFile(join(CORPUS, name, 'expected.json'), 'utf8')
    const { env = {}, ...expected } = JSON.parse(text) as Expected
    const path = join(CORPUS, name, 'input')
    const lists = await readImageLists([{ kind: 'path', path, shownAs: 'input' }], { env })
    expect(summarize(lists)).toEqual(expected)
    expect(Object.keys(expected.images)).toEqual(lists.images.map(({ reference }) => reference))
  })
})

it('has a case for each form', () => {
  expect(CASES.length).toBeGreaterThanOrEqual(60)
})
