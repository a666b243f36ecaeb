/** A document of YAML or JSON that remembers its lines, and each number as it was written: `1.10`. */
export type Tree = MapTree | ListTree | ScalarTree

export interface MapTree {
  readonly kind: 'map'
  readonly line: number
  readonly entries: ReadonlyMap<string, Tree>
}

export interface ListTree {
  readonly kind: 'list'
  readonly line: number
  readonly items: readonly Tree[]
}

export interface ScalarTree {
  readonly kind: 'scalar'
  readonly line: number
  /** Empty for null. */
  readonly text: string
  /** Whether it is a string, and no number, boolean or null. */
  readonly isText: boolean
}

/** Deeper than any manifest, and far from where a recursion ends. */
export const MAX_DEPTH = 100

/** A document that could not be read. `message` says why, without the name of the file. */
export class UnreadableDocument extends Error {
  override readonly name = 'UnreadableDocument'
  readonly line: number | undefined

  constructor(message: string, line?: number) {
    super(message)
    this.line = line
  }
}

export function mapAt(tree: Tree | undefined, ...keys: readonly string[]): MapTree | undefined {
  const found = at(tree, keys)
  return found?.kind === 'map' ? found : undefined
}

export function scalarAt(
  tree: Tree | undefined,
  ...keys: readonly string[]
): ScalarTree | undefined {
  const found = at(tree, keys)
  return found?.kind === 'scalar' ? found : undefined
}

/** Empty where there is no scalar. */
export function textAt(tree: Tree | undefined, ...keys: readonly string[]): string {
  return scalarAt(tree, ...keys)?.text ?? ''
}

/** Empty where there is no list. */
export function itemsAt(tree: Tree | undefined, ...keys: readonly string[]): readonly Tree[] {
  const found = at(tree, keys)
  return found?.kind === 'list' ? found.items : []
}

/** Empty where there is no map. */
export function entriesAt(
  tree: Tree | undefined,
  ...keys: readonly string[]
): readonly (readonly [string, Tree])[] {
  return [...(mapAt(tree, ...keys)?.entries ?? [])]
}

function at(tree: Tree | undefined, keys: readonly string[]): Tree | undefined {
  let found = tree
  for (const key of keys) found = found?.kind === 'map' ? found.entries.get(key) : undefined
  return found
}

/** Longer than the keys that people give; each place below a key repeats it. */
const MAX_SHOWN_KEY = 200

/** `spec.containers[0].image`, from its two halves; a key that is no word stands in quotes. */
export function pathTo(parent: string, key: string | number): string {
  if (typeof key === 'number') return `${parent}[${key}]`
  if (key.length > MAX_SHOWN_KEY) return pathTo(parent, `${key.slice(0, MAX_SHOWN_KEY - 1)}…`)
  if (!/^[\w-]+$/.test(key)) return `${parent}[${JSON.stringify(key)}]`
  return parent === '' ? key : `${parent}.${key}`
}
