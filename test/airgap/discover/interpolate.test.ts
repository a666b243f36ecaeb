import { expect, it } from 'vitest'
import { interpolate } from '../../../src/airgap/discover/interpolate.ts'

const ENV = { A: 'a', EMPTY: '', LONG: 'x'.repeat(100), toString: undefined }

it.each([
  ['plain', 'plain'],
  ['$A', 'a'],
  ['x-${A}-y', 'x-a-y'],
  ['$A/$A', 'a/a'],
  ['${A:-b}', 'a'],
  ['${A-b}', 'a'],
  ['${NONE:-b}', 'b'],
  ['${NONE-b}', 'b'],
  ['${EMPTY:-b}', 'b'],
  ['x${EMPTY-b}', 'x'],
  ['${NONE:-}x', 'x'],
  ['${NONE:-$A}', 'a'],
  ['${NONE:-${ALSO-${A}}}', 'a'],
  ['${A:+b}', 'b'],
  ['x${NONE:+b}', 'x'],
  ['x${EMPTY+b}', 'xb'],
  ['x${EMPTY:+b}', 'x'],
  ['${A:?needed}', 'a'],
  ['$$A', '$A'],
  ['$${A}', '${A}'],
  ['${NONE:-a:b/c@d}', 'a:b/c@d'],
])('makes of %s %s', (text, expected) => {
  expect(interpolate(text, ENV)).toEqual({ text: expected })
})

it.each([
  ['$NONE', '$NONE has no value here'],
  ['${NONE}', '$NONE has no value here'],
  ['${EMPTY}', '$EMPTY has no value here'],
  ['${NONE:?say which}', '$NONE has no value here'],
  ['${NONE:-${ALSO}}', '$ALSO has no value here'],
  ['$toString', '$toString has no value here'],
  ['$constructor', '$constructor has no value here'],
  ['${A', 'it has a $ that is no variable'],
  ['a$', 'it has a $ that is no variable'],
  ['${}', 'it has a $ that is no variable'],
  ['${A!b}', 'it has a $ that is no variable'],
  ['$1', 'it has a $ that is no variable'],
  [`${'${X:-'.repeat(20)}${'}'.repeat(20)}`, 'its variables go too deep'],
  ['$A'.repeat(3000), 'its variables go too deep'],
  ['$LONG'.repeat(100), 'with its variables filled in it is too long'],
])('makes nothing of %s', (text, reason) => {
  expect(interpolate(text, ENV)).toEqual({ reason })
})
