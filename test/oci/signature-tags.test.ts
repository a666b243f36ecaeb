import { expect, it } from 'vitest'
import type { Digest } from '../../src/oci/digest.ts'
import type { Tag } from '../../src/oci/reference.ts'
import { attachmentTags, subjectOfTag } from '../../src/oci/signature-tags.ts'

const HEX = 'a'.repeat(64)
const SUBJECT = `sha256:${HEX}` as Digest

it('finds the subject in each of the tags that belong to it', () => {
  const tags = attachmentTags(SUBJECT)
  expect(tags).toEqual([
    `sha256-${HEX}`,
    `sha256-${HEX}.sig`,
    `sha256-${HEX}.att`,
    `sha256-${HEX}.sbom`,
  ])
  expect(tags.map(subjectOfTag)).toEqual(tags.map(() => SUBJECT))
})

it.each(['latest', `sha256-${HEX}.txt`, `sha256-${HEX.slice(1)}`, `sha512-${HEX}`])(
  'sees no subject in %s',
  (tag) => {
    expect(subjectOfTag(tag as Tag)).toBeUndefined()
  },
)
