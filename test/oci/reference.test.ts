import { describe, expect, it } from 'vitest'
import {
  parseReference,
  parseRepositoryName,
  parseTag,
  parseUpstreamName,
  withLibrary,
} from '../../src/oci/reference.ts'

describe('parseRepositoryName', () => {
  it.each(['a', 'library/alpine', 'a.b_c__d-e---f/0', 'x/y/z/w/v'])('takes %s', (name) => {
    expect(parseRepositoryName(name)).toBe(name)
  })

  it.each([
    '',
    '/',
    'a/',
    '/a',
    'a//b',
    'A',
    'a..b',
    'a___b',
    '-a',
    'a-',
    'a/.b',
    'a b',
    'a\n',
    'ä',
    '../a',
  ])('refuses %j', (name) => {
    expect(parseRepositoryName(name)).toBeUndefined()
  })

  it('takes 255 characters and no more', () => {
    expect(parseRepositoryName('a'.repeat(255))).toBeDefined()
    expect(parseRepositoryName('a'.repeat(256))).toBeUndefined()
  })
})

describe('parseTag', () => {
  it.each(['1', 'latest', 'RC1', '_x', 'a.b-c_d', 'a'.repeat(128)])('takes %s', (tag) => {
    expect(parseTag(tag)).toBe(tag)
  })

  it.each(['', '.a', '-a', 'a/b', 'a:b', 'a b', 'a'.repeat(129), 'a\n'])('refuses %j', (tag) => {
    expect(parseTag(tag)).toBeUndefined()
  })
})

describe('parseReference', () => {
  it('reads a colon as the mark of a digest', () => {
    const digest = `sha256:${'ab'.repeat(32)}`
    expect(parseReference(digest)).toEqual({ kind: 'digest', digest })
    expect(parseReference('sha256:short')).toBeUndefined()
    expect(parseReference('1.36')).toEqual({ kind: 'tag', tag: '1.36' })
  })
})

describe('parseUpstreamName', () => {
  it.each([
    ['docker.io', 'docker.io'],
    ['Index.Docker.IO', 'docker.io'],
    ['registry-1.docker.io:443', 'docker.io'],
    ['QUAY.io:443', 'quay.io'],
    ['registry.corp:5000', 'registry.corp:5000'],
    ['localhost:5000', 'localhost:5000'],
    ['[::1]:5000', '[::1]:5000'],
    ['10.0.0.1', '10.0.0.1'],
  ])('makes %s %s', (text, name) => {
    expect(parseUpstreamName(text)).toBe(name)
  })

  it.each([
    '',
    'https://docker.io',
    'docker.io/',
    'a@b',
    'a b',
    'docker.io\r\n',
    'docker.io:',
    'docker.io:99999',
    'docker.io:0x50',
    '.docker.io',
    'docker..io',
    'docker.io.',
    '-docker.io',
    'a_b.io',
    `${'a'.repeat(300)}.io`,
  ])('refuses %j', (text) => {
    expect(parseUpstreamName(text)).toBeUndefined()
  })
})

describe('withLibrary', () => {
  it('adds library/ to official images of Docker Hub and to nothing else', () => {
    const add = (upstream: string, name: string) =>
      withLibrary(
        ...([parseUpstreamName(upstream), parseRepositoryName(name)] as Parameters<
          typeof withLibrary
        >),
      )
    expect(add('docker.io', 'alpine')).toBe('library/alpine')
    expect(add('docker.io', 'bitnami/redis')).toBe('bitnami/redis')
    expect(add('quay.io', 'alpine')).toBe('alpine')
  })
})
