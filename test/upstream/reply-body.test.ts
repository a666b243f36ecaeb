import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Dispatcher } from 'undici'
import { describe, expect, it } from 'vitest'
import { ReadBuffers } from '../../src/upstream/read-buffers.ts'
import type { Head } from '../../src/upstream/reply-body.ts'
import { NotTaken, request } from '../../src/upstream/reply-body.ts'

const OPTIONS = { origin: 'http://registry.test', path: '/', method: 'GET' } as const

/** Undici's part, played by the test. */
class Sent implements Dispatcher.DispatchController {
  readonly head: Promise<Head>
  readonly client = new AbortController()
  paused = false
  resumes = 0
  aborted = false
  reason: Error | null = null
  #handler: Dispatcher.DispatchHandler = {}

  constructor() {
    const agent = {
      dispatch: (_: unknown, handler: Dispatcher.DispatchHandler) => {
        this.#handler = handler
        return true
      },
    } as unknown as Dispatcher
    this.head = request(agent, OPTIONS, new ReadBuffers(), this.client.signal)
    this.head.catch(() => {})
  }

  pause(): void {
    this.paused = true
  }

  /** Undici tells of nothing, once more, before it goes on. */
  resume(): void {
    this.resumes += 1
    this.paused = false
    if (this.resumes > 100) throw new Error('goes on for ever')
    this.data('')
  }

  abort(reason: Error): void {
    this.aborted = true
    this.reason = reason
  }

  start(): void {
    this.#handler.onRequestStart?.(this, {})
  }

  answer(status = 200): void {
    this.#handler.onResponseStart?.(this, status, { 'x-a': '1' })
  }

  /** Memory that is used for something else once it was told of. */
  data(text: string): void {
    const bytes = Buffer.from(text)
    this.#handler.onResponseData?.(this, bytes)
    bytes.fill(0)
  }

  end(): void {
    this.#handler.onResponseEnd?.(this, {})
  }

  fail(failure: Error): void {
    this.#handler.onResponseError?.(this, failure)
  }

  /** Up to a head that has come. */
  static async answered(): Promise<Sent> {
    const sent = new Sent()
    sent.start()
    sent.answer()
    await sent.head
    return sent
  }
}

/** Takes all, and waits where it is told to. */
function taker() {
  let text = ''
  let waiting: PromiseWithResolvers<void> | undefined
  let isSlow = false
  return {
    take: (bytes: Uint8Array): Promise<void> | undefined => {
      text += Buffer.from(bytes).toString()
      if (!isSlow) return undefined
      waiting = Promise.withResolvers()
      return waiting.promise
    },
    text: () => text,
    slow: () => {
      isSlow = true
    },
    fast: () => {
      isSlow = false
      waiting?.resolve()
    },
    refuse: (reason: unknown) => {
      waiting?.reject(reason)
    },
  }
}

async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let isOver = false
  const end = () => {
    isOver = true
  }
  promise.then(end, end)
  await nextTurn()
  return isOver
}

describe('request', () => {
  it('takes no hint for an answer', async () => {
    const sent = new Sent()
    sent.start()
    sent.answer(103)
    expect(await isSettled(sent.head)).toBe(false)
    sent.answer(404)
    expect((await sent.head).status).toBe(404)
  })

  it.each(['before it was sent', 'before the answer'])(
    'ends when it is aborted %s',
    async (when) => {
      const sent = new Sent()
      if (when === 'before the answer') sent.start()
      const reason = new Error('left')
      sent.client.abort(reason)
      await expect(sent.head).rejects.toBe(reason)
      if (when === 'before it was sent') sent.start()
      expect(sent.reason).toBe(reason)
    },
  )

  it('rejects with what went wrong', async () => {
    const sent = new Sent()
    const failure = new Error('connection refused')
    sent.fail(failure)
    await expect(sent.head).rejects.toBe(failure)
    const { signal } = new AbortController()
    const dispatch = () => {
      throw failure
    }
    const closed = { dispatch } as unknown as Dispatcher
    await expect(request(closed, OPTIONS, new ReadBuffers(), signal)).rejects.toBe(failure)
  })
})

describe('ReplyBody', () => {
  it('waits until somebody takes it', async () => {
    const sent = await Sent.answered()
    expect(sent.paused).toBe(true)
    const { take, text } = taker()
    const reading = (await sent.head).body.pump(take)
    expect([sent.paused, sent.resumes]).toEqual([false, 1])
    for (const piece of ['a', '', 'bc']) sent.data(piece)
    sent.end()
    await reading
    expect(text()).toBe('abc')
  })

  it('waits for its taker, each time, and goes on from where it was', async () => {
    const sent = await Sent.answered()
    const { take, text, slow, fast } = taker()
    const { body } = await sent.head
    const reading = body.pump(take)
    for (const piece of ['a', 'b', 'c']) {
      slow()
      sent.data(piece)
      expect(sent.paused).toBe(true)
      await nextTurn()
      expect(sent.paused).toBe(true)
      fast()
      await nextTurn()
      expect(sent.paused).toBe(false)
    }
    expect([text(), sent.resumes]).toEqual(['abc', 4])
    sent.end()
    await reading
    expect(body.isOver).toBe(true)
  })

  it('keeps what comes in spite of that, and its end, until it is wanted', async () => {
    const sent = await Sent.answered()
    const { take, text, slow, fast } = taker()
    const { body } = await sent.head
    sent.data('before ')
    slow()
    const reading = body.pump(take)
    sent.data('while ')
    sent.data('waiting')
    sent.end()
    expect(body.isOver).toBe(true)
    expect(await isSettled(reading)).toBe(false)
    expect(text()).toBe('before ')
    fast()
    await reading
    expect(text()).toBe('before while waiting')
  })

  it('ends with the reason of whoever aborts, and closes the connection', async () => {
    const sent = await Sent.answered()
    const reading = (await sent.head).body.pump(() => undefined)
    const reason = new Error('left')
    sent.client.abort(reason)
    await expect(reading).rejects.toBe(reason)
    expect(sent.reason).toBe(reason)
  })

  it('closes the connection that nobody wants, but not one that has brought everything', async () => {
    const dropped = await Sent.answered()
    const { body } = await dropped.head
    body.drop()
    expect([dropped.aborted, body.isOver]).toEqual([true, true])
    await expect(body.pump(() => undefined)).rejects.toThrow('nobody wants')
    const whole = await Sent.answered()
    whole.end()
    const rest = await whole.head
    rest.body.drop()
    expect(whole.aborted).toBe(false)
  })

  it('listens to nobody once it is over', async () => {
    const sent = await Sent.answered()
    const reading = (await sent.head).body.pump(() => undefined)
    sent.end()
    await reading
    sent.client.abort(new Error('too late'))
    expect(sent.aborted).toBe(false)
  })

  it('says that the taker failed, at once or later, and gives it nothing more', async () => {
    const cause = new Error('disk is full')
    const later = await Sent.answered()
    const { take, text, slow, refuse } = taker()
    slow()
    const reading = (await later.head).body.pump(take)
    later.data('a')
    later.data('b')
    refuse(cause)
    await expect(reading).rejects.toBeInstanceOf(NotTaken)
    await expect(reading).rejects.toHaveProperty('cause', cause)
    expect([text(), later.aborted]).toEqual(['a', true])
    const atOnce = await Sent.answered()
    const failing = (await atOnce.head).body.pump(() => {
      throw cause
    })
    atOnce.data('a')
    await expect(failing).rejects.toHaveProperty('cause', cause)
    expect(atOnce.aborted).toBe(true)
  })

  it.each(['breaks', 'is aborted'])(
    'that %s is not over before what was given has been taken',
    async (how) => {
      const sent = await Sent.answered()
      const { take, text, slow, fast } = taker()
      slow()
      const reading = (await sent.head).body.pump(take)
      reading.catch(() => {})
      sent.data('a')
      const failure = new Error('over')
      if (how === 'breaks') sent.fail(failure)
      else sent.client.abort(failure)
      expect(await isSettled(reading)).toBe(false)
      fast()
      await expect(reading).rejects.toBe(failure)
      expect(text()).toBe('a')
    },
  )
})
