import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, expectTypeOf, it } from 'vitest'
import type { ConfigInput } from '../../src/config/config-input.ts'
import { DESCRIPTIONS } from '../../src/config/descriptions.ts'
import { configJsonSchema, knownKeys } from '../../src/config/json-schema.ts'
import type { SettingsInput } from '../../src/config/settings.ts'

const INPUT_FILE = join(import.meta.dirname, '../../src/config/config-input.ts')
const SECTIONS = {
  server: 'ServerInput',
  admin: 'AdminInput',
  storage: 'StorageInput',
  warm: 'WarmInput',
  log: 'LogInput',
}
const JOB = { 'warm.jobs.*': 'WarmJobInput' }
const UPSTREAM = { 'upstreams.*': 'UpstreamInput', 'upstreams.*.tags': 'TagsInput' }

/** The comment of every key of an interface, on one line. */
function commentsOf(name: string): ReadonlyMap<string, string> {
  const source = readFileSync(INPUT_FILE, 'utf8')
  const [, body = ''] = source.split(`interface ${name} {`)
  const keys = body
    .slice(0, body.indexOf('\n}'))
    .matchAll(/\/\*\*((?:(?!\*\/)[^])*)\*\/\s*readonly (\w+)/g)
  return new Map(
    [...keys].map(([, comment = '', key = '']) => [
      key,
      comment.replaceAll(/\s*\n\s*\*?\s*/g, ' ').trim(),
    ]),
  )
}

describe('the JSON Schema', () => {
  it('is strict and describes every key', () => {
    const schema = configJsonSchema()
    expect(schema).toMatchObject({
      additionalProperties: false,
      properties: {
        server: {
          additionalProperties: false,
          properties: { listen: { default: '127.0.0.1:5000' } },
        },
        upstreams: {
          additionalProperties: {
            additionalProperties: false,
            properties: { tags: { properties: { onGone: { enum: ['drop', 'keep'] } } } },
          },
        },
      },
    })
    const text = JSON.stringify(schema)
    for (const description of DESCRIPTIONS.values()) {
      expect(text).toContain(JSON.stringify(description))
    }
  })

  it.each(Object.entries({ '': 'ConfigInput', ...SECTIONS, ...JOB, ...UPSTREAM }))(
    'says of "%s" what the types of %s say',
    (path, name) => {
      const comments = commentsOf(name)
      const prefix = path === '' ? '' : `${path}.`
      const any = path.startsWith('warm') ? 0 : 'a.example'
      const parent = path === '' ? [] : path.split('.').map((key) => (key === '*' ? any : key))
      expect([...comments.keys()].toSorted()).toEqual(knownKeys(parent).toSorted())
      for (const [key, comment] of comments) expect(DESCRIPTIONS.get(prefix + key)).toBe(comment)
    },
  )

  it('says of credentials what the types of their forms say', () => {
    const forms = ['LoginInput', 'TokenInput', 'DockerConfigInput', 'HelperInput'].map(commentsOf)
    const keys = knownKeys(['upstreams', 'a.example', 'auth'])
    expect([...new Set(forms.flatMap((form) => [...form.keys()]))].toSorted()).toEqual(
      keys.toSorted(),
    )
    for (const [key, comment] of forms.flatMap((form) => [...form])) {
      expect(DESCRIPTIONS.get(`upstreams.*.auth.${key}`)).toBe(comment)
    }
  })

  it('accepts what the types accept', () => {
    expectTypeOf<ConfigInput>().toExtend<DeepReadonly<SettingsInput>>()
  })
})

type DeepReadonly<T> = T extends object ? { readonly [K in keyof T]: DeepReadonly<T[K]> } : T
