import { describe, expect, it } from 'vitest'
import {
  parseContentLength,
  parseContentRange,
  parseUnsatisfiedRange,
} from '../../src/upstream/content-range.ts'

describe('parseContentRange', () => {
  it.each([
    ['bytes 0-0/1', { start: 0, end: 0, total: 1 }],
    ['Bytes 5-9/10', { start: 5, end: 9, total: 10 }],
    ['bytes 5-9/*', { start: 5, end: 9, total: undefined }],
    ['bytes 9-5/10', undefined],
    ['bytes 5-10/10', undefined],
    ['bytes */10', undefined],
    ['bytes 0-99999999999999999/*', undefined],
    ['items 0-1/2', undefined],
    [undefined, undefined],
  ])('reads %j', (value, expected) => {
    expect(parseContentRange(value)).toEqual(expected)
  })
})

describe('parseUnsatisfiedRange', () => {
  it.each([
    ['bytes */0', 0],
    ['bytes */42', 42],
    ['bytes 0-1/2', undefined],
    [undefined, undefined],
  ])('reads %j', (value, expected) => {
    expect(parseUnsatisfiedRange(value)).toBe(expected)
  })
})

describe('parseContentLength', () => {
  it.each([
    ['0', 0],
    ['1024', 1024],
    ['-1', undefined],
    ['1, 1', undefined],
    ['0x10', undefined],
    ['9'.repeat(16), undefined],
    [undefined, undefined],
  ])('reads %j', (value, expected) => {
    expect(parseContentLength(value)).toBe(expected)
  })
})
