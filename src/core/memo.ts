/**
 * Answers of a pure function, for the texts that come again and again. Those that came lately are kept: at
 * most twice `max`, of texts of at most `maxLength` characters.
 */
export class Memo<Value> {
  readonly #max: number
  readonly #maxLength: number
  #young = new Map<string, Value>()
  #old = new Map<string, Value>()

  constructor(max: number, maxLength = 1000) {
    this.#max = max
    this.#maxLength = maxLength
  }

  /** `compute` may throw; then nothing is kept. */
  recall(text: string, compute: (text: string) => Value): Value {
    const known = this.#young.get(text)
    if (known !== undefined) return known
    const value = this.#old.get(text) ?? compute(text)
    if (text.length <= this.#maxLength) this.#keep(text, value)
    return value
  }

  #keep(text: string, value: Value): void {
    if (this.#young.size >= this.#max) {
      this.#old = this.#young
      this.#young = new Map()
    }
    this.#young.set(text, value)
  }
}
