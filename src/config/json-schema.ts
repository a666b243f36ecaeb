import * as z from 'zod'
import { DESCRIPTIONS } from './descriptions.ts'
import type { Path } from './problem.ts'
import { settingsSchema } from './settings.ts'

interface SchemaNode {
  readonly description?: string
  readonly properties?: Readonly<Record<string, SchemaNode>>
  readonly additionalProperties?: SchemaNode | boolean
  readonly items?: SchemaNode
}

/** The JSON Schema (draft 2020-12) of a configuration file, for editors and other checkers. */
export function configJsonSchema(): object {
  const schema = z.toJSONSchema(settingsSchema, { io: 'input' }) as SchemaNode
  return { title: 'The configuration of oci-mirror', ...describe(schema, '') }
}

/** The keys that the schema has at a place; none where it has no table. */
export function knownKeys(path: Path): readonly string[] {
  let node: SchemaNode | undefined = z.toJSONSchema(settingsSchema, { io: 'input' }) as SchemaNode
  for (const key of path) node = node && child(node, key)
  return Object.keys(node?.properties ?? {})
}

function child(node: SchemaNode, key: string | number): SchemaNode | undefined {
  const named = node.properties?.[key]
  if (named !== undefined) return named
  if (typeof key === 'number') return node.items
  return typeof node.additionalProperties === 'object' ? node.additionalProperties : undefined
}

function describe(node: SchemaNode, name: string): SchemaNode {
  const { properties, additionalProperties, items } = node
  const description = DESCRIPTIONS.get(name)
  return {
    ...node,
    ...(description !== undefined && { description }),
    ...(properties !== undefined && { properties: describeAll(properties, name) }),
    ...(typeof additionalProperties === 'object' && {
      additionalProperties: describe(additionalProperties, join(name, '*')),
    }),
    ...(items?.properties !== undefined && { items: describe(items, join(name, '*')) }),
  }
}

function describeAll(
  properties: Readonly<Record<string, SchemaNode>>,
  parent: string,
): Readonly<Record<string, SchemaNode>> {
  const entries = Object.entries(properties)
  return Object.fromEntries(entries.map(([key, node]) => [key, describe(node, join(parent, key))]))
}

function join(parent: string, key: string): string {
  return parent === '' ? key : `${parent}.${key}`
}
