import { describe, expect, it } from 'vitest'
import { parseBundleHeader } from '../../../src/airgap/bundle/parse-bundle-header.ts'
import { refuseBomb } from '../../../src/airgap/bundle/refuse-bomb.ts'

const refuse = (text: string) => () => refuseBomb(Buffer.from(text), 'x.json')
const TOO_MUCH = 'x.json has more in it than a list of blobs has'

describe('JSON of a bundle', () => {
  it.each([
    ['lists in lists', '['.repeat(100_000)],
    ['more objects than any list has', `[${'{},'.repeat(1_000_001)}1]`],
    ['more members than any list has', `[${'1,'.repeat(4_000_001)}1]`],
    ['objects behind a text that ends with a backslash', String.raw`["\\",${'['.repeat(33)}`],
  ])('is refused before it is parsed: %s', (_, text) => {
    expect(refuse(text)).toThrow(TOO_MUCH)
  })

  it('may have anything in its texts', () => {
    const text = JSON.stringify({ a: '[{,'.repeat(2_000_000), b: '\\"["['.repeat(100) })
    expect(refuse(text)).not.toThrow()
    expect(refuse('["never ends')).not.toThrow()
  })

  it('that is one of these is no header', () => {
    const header = `{"version":1,"more":${'['.repeat(50)}${']'.repeat(50)}}`
    expect(() => parseBundleHeader(Buffer.from(header))).toThrow('more in it than a list of blobs')
  })
})
