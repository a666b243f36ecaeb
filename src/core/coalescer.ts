/** Many askers, one answer: while a task for a key runs, everyone who asks for that key shares it. */
export class Coalescer<T> {
  readonly #running = new Map<string, Promise<T>>()

  has(key: string): boolean {
    return this.#running.has(key)
  }

  /** Whether the task was started for this call (`first`), or an earlier one is shared. */
  run(
    key: string,
    task: () => Promise<T>,
  ): { readonly result: Promise<T>; readonly first: boolean } {
    const running = this.#running.get(key)
    if (running !== undefined) return { result: running, first: false }
    const result = task().finally(() => this.#running.delete(key))
    this.#running.set(key, result)
    // Everyone may have left before it fails; the failure is theirs to see, not the process's.
    result.catch(() => {})
    return { result, first: true }
  }
}
