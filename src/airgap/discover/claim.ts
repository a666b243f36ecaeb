import type { Findings } from './findings.ts'
import type { Place } from './image-lists.ts'
import type { ScalarTree, Tree } from './tree.ts'

/** One document on its way to the findings: what has a meaning in it is claimed, and the rest may have one. */
export class Claim {
  readonly taken = new Set<Tree>()
  readonly #file: string
  readonly #findings: Findings

  constructor(file: string, findings: Findings) {
    this.#file = file
    this.#findings = findings
  }

  /** An image in its known place; none if there is nothing in it. `name` if the value is only a part of it. */
  found(value: ScalarTree | undefined, path: string, name = value?.text): void {
    if (value === undefined || name === undefined || name.trim() === '') return
    this.taken.add(value)
    this.#findings.found(name, this.#place(value, path))
  }

  maybe(value: ScalarTree, path: string, name: string, doubt: string): void {
    this.taken.add(value)
    this.#findings.maybe(name, this.#place(value, path), doubt)
  }

  unresolved(value: Tree | undefined, path: string, name: string, doubt: string): void {
    if (value === undefined) return
    this.taken.add(value)
    this.#findings.unresolved(name, this.#place(value, path), doubt)
  }

  problem(value: Tree, path: string, message: string): void {
    this.#findings.problem(this.#place(value, path), message)
  }

  /** Nothing below it is looked at again. */
  take(tree: Tree | undefined): void {
    if (tree !== undefined) this.taken.add(tree)
  }

  note(text: string): void {
    this.#findings.note(`${this.#file}: ${text}`)
  }

  #place({ line }: Tree, path: string): Place {
    return { file: this.#file, line, path }
  }
}
