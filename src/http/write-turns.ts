import type { Writable } from 'node:stream'

/** Milliseconds of each turn of the event loop that go to writing bodies, as long as others wait. */
const SHARE_MS = 3
/** In one turn a connection comes, in the next one its request. */
const HURRIED_TURNS = 3
/** So many connections in such turns are a herd. */
const HERD = 8

/**
 * Shares the turns of the event loop between bodies and everything else. Handing a chunk to a socket takes
 * some 50 µs, and two hundred clients may all be ready for one in the same turn: whoever comes then waits for
 * all of them. And Node accepts one connection in a turn, so that of two hundred clients who come at once the
 * last would wait for as many turns of that length.
 */
export class WriteTurns {
  /** In milliseconds. */
  readonly #now: () => number
  readonly #waiting: (() => void)[] = []
  #held: Writable[] = []
  /** In this turn, in milliseconds. */
  #spent = 0
  /** Turns in which more connections may be waiting behind one that has just come. */
  #hurried = 0
  /** Connections, since there was a turn that needed no hurry. */
  #came = 0
  #isEnding = false

  constructor(now = () => performance.now()) {
    this.#now = now
  }

  /** A connection has been accepted: until no more come, bodies get one write a turn. */
  hurry(): void {
    this.#hurried = HURRIED_TURNS
    this.#came += 1
    this.#awaitEnd()
  }

  /**
   * What is written to it in this turn leaves at the end of it, with that of others. Each write may wake whoever
   * reads: of thirty small answers in a turn, one by one, that costs more than all the rest of them.
   */
  hold(connection: Writable): void {
    connection.cork()
    this.#held.push(connection)
    this.#awaitEnd()
  }

  /** Runs it now, or when it is its turn. It must not throw. */
  run(write: () => void): void {
    if (this.#waiting.length > 0 || !this.#hasTime) this.#waiting.push(write)
    else this.#spend(write)
    this.#awaitEnd()
  }

  /** The same for what somebody waits for who has had nothing so far. */
  runFirst(write: () => void): void {
    this.#spend(write)
    this.#awaitEnd()
  }

  /** Connections come one after another: whoever has something already can wait for those who have nothing. */
  get isHerd(): boolean {
    return this.#came >= HERD
  }

  get #hasTime(): boolean {
    return this.#hurried > 0 ? this.#spent === 0 : this.#spent < SHARE_MS
  }

  #spend(write: () => void): void {
    const startedAt = this.#now()
    write()
    this.#spent += this.#now() - startedAt
  }

  #awaitEnd(): void {
    if (this.#isEnding) return
    this.#isEnding = true
    setImmediate(() => this.#end())
  }

  #end(): void {
    this.#isEnding = false
    this.#spent = 0
    const held = this.#held
    this.#held = []
    for (const connection of held) connection.uncork()
    while (this.#hasTime) {
      const write = this.#waiting.shift()
      if (write === undefined) break
      this.#spend(write)
    }
    this.#hurried = Math.max(0, this.#hurried - 1)
    if (this.#hurried === 0) this.#came = 0
    if (this.#waiting.length > 0 || this.#hurried > 0) this.#awaitEnd()
  }
}
