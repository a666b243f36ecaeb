import { describe, expect, it } from 'vitest'
import { compileImmutableTags } from '../../src/config/immutable-tags.ts'

describe('immutable tags', () => {
  it.each([
    ['v*', 'acme/app', 'v1.2', true],
    ['v*', 'acme/app', 'latest', false],
    ['v*', 'v/app', 'latest', false],
    ['3.*', 'library/alpine', '3.19', true],
    ['3.*', 'library/alpine', '3', false],
    ['library/**', 'library/alpine', 'latest', true],
    ['library/**', 'other/alpine', 'latest', false],
    ['acme/app', 'acme/app', 'anything', true],
    ['acme/app:release-*', 'acme/app', 'release-1', true],
    ['acme/app:release-*', 'acme/app', 'latest', false],
    ['acme/app:release-*', 'acme/other', 'release-1', false],
    ['acme/*:v*', 'acme/app', 'v1', true],
    ['acme/*:v*', 'acme/team/app', 'v1', false],
    ['acme/**:v*', 'acme/team/app', 'v1', true],
    ['app:v*', 'app', 'v1', true],
    ['{1,2}.[0-9]*', 'x', '2.7', true],
    ['!latest', 'x', 'v1', false],
    ['V*', 'x', 'v1', false],
  ])('%s: %s:%s is %s', (pattern, repository, tag, isImmutable) => {
    expect(compileImmutableTags([pattern])(repository, tag)).toBe(isImmutable)
  })

  it('are those of any pattern, and none without patterns', () => {
    const isImmutable = compileImmutableTags(['v*', 'library/**'])
    expect(isImmutable('acme/app', 'v1')).toBe(true)
    expect(isImmutable('library/alpine', 'edge')).toBe(true)
    expect(isImmutable('acme/app', 'edge')).toBe(false)
    expect(compileImmutableTags([])('acme/app', 'v1')).toBe(false)
  })
})
