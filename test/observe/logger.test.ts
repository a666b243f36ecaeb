import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { CANARY, collectLines } from './log-lines.ts'

/** Everything that a careless caller could hand to a logger. */
function logCarelessly({ logger }: ReturnType<typeof collectLines>): void {
  const url = `https://user:${CANARY}@cdn.example/blob?X-Amz-Signature=${CANARY}`
  const cause = new Error(`GET ${url}`, { cause: { token: CANARY } })
  const error = Object.assign(new Error(`failed ${url}`, { cause }), { password: CANARY })
  const headers = { Authorization: `Bearer ${CANARY}`, 'Set-Cookie': [`sid=${CANARY}`] }
  logger.error(error)
  logger.error({ error })
  logger.error({ err: error }, `could not fetch ${url}`)
  logger.info(`asked ${url}`)
  logger.info('asked %s with %o', url, headers)
  logger.info({ url, parsed: new URL(url), deep: { er: { url } } }, 'asked')
  logger.info({ headers, rawHeaders: ['x', CANARY], request: { HEADERS: headers } }, 'sent')
  logger.info(
    { list: ['Authorization', CANARY, 'proxy-authorization', Buffer.from(CANARY)] },
    'sent',
  )
  logger.info({ Password: CANARY, accessToken: CANARY, 'x-amz-security-token': CANARY }, 'sent')
  logger.info(
    { map: new Map([['token', CANARY]]), native: new Headers({ cookie: CANARY }) },
    'sent',
  )
  logger.info({ body: JSON.stringify({ token: CANARY, refresh_token: CANARY }) }, 'sent')
  logger.warn({ [url]: 1 }, 'sent')
  logger.trace({ error: new AggregateError([error, cause], url) }, 'sent')
}

function firstCharacter(format: 'auto' | 'json' | 'pretty', isTerminal: boolean) {
  const { logger, text } = collectLines({ format, isTerminal })
  logger.info({}, 'started')
  return text()[0]
}

describe('createLogger', () => {
  it.each([
    ['json', { format: 'json' }],
    ['pretty', { format: 'pretty' }],
    ['coloured', { format: 'pretty', isTerminal: true }],
  ] as const)('tells no secret in %s lines', (_, options) => {
    const log = collectLines(options)
    logCarelessly(log)
    expect(log.lines).toHaveLength(13)
    expect(log.text()).toContain('https://cdn.example/blob')
    expect(log.text()).not.toContain(CANARY)
  })

  it.each(['json', 'pretty'] as const)('writes one line of %s whatever it is told', (format) => {
    const log = collectLines({ format })
    const hostile = 'a\r\nINFO forged\u001b[2J\u009b31m\u202e'
    log.logger.info({ value: hostile, [hostile]: { deep: [hostile] } }, hostile)
    log.logger.warn({ error: new Error(hostile, { cause: new Error(hostile) }) }, 'failed')
    expect(log.lines).toHaveLength(2)
    for (const line of log.lines) {
      expect(line).toMatch(/^[^\p{Cc}\p{Cf}]+\n$/u)
      expect(line).toContain('INFO forged')
    }
  })

  it('writes JSON with the level by name and the time by ISO 8601', () => {
    const { logger, text } = collectLines()
    logger.info(
      { upstream: 'docker.io', bytes: 12, missing: undefined, at: new Date(0) },
      'fetched',
    )
    expect(JSON.parse(text())).toEqual({
      level: 'info',
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
      upstream: 'docker.io',
      bytes: 12,
      at: '1970-01-01T00:00:00.000Z',
      msg: 'fetched',
    })
  })

  it('prints objects of a class by its name and bounds what is nested', () => {
    const { logger, text } = collectLines()
    const loop: Record<string, unknown> = { size: 10n }
    loop['self'] = loop
    logger.info(
      { buffer: Buffer.from('x'), loop, many: Array.from({ length: 99 }, () => 1) },
      'told',
    )
    expect(JSON.parse(text())).toMatchObject({
      buffer: '<Buffer>',
      loop: { size: '10', self: { self: { self: '<object>' } } },
      many: { length: 50 },
    })
  })

  it('obeys the level', () => {
    const { logger, lines } = collectLines({ level: 'warn' })
    logger.info({}, 'hidden')
    logger.warn({}, 'shown')
    expect(lines).toHaveLength(1)
    expect(logger.isLevelEnabled('info')).toBe(false)
  })

  it('is pretty on a terminal and JSON elsewhere unless told otherwise', () => {
    expect(firstCharacter('auto', false)).toBe('{')
    expect(firstCharacter('auto', true)).toBe('[')
    expect(firstCharacter('json', true)).toBe('{')
    expect(firstCharacter('pretty', false)).toBe('[')
  })

  it('shows an error and its causes on one pretty line, then the frames of a fault', () => {
    const { logger, text } = collectLines({ format: 'pretty' })
    const cause = Object.assign(new TypeError('x is not a function'), { code: 'E_X' })
    logger.warn({ upstream: 'quay.io', error: new Error('lost', { cause }) }, 'fetch failed')
    expect(text()).toMatch(
      /WARN: fetch failed {2}upstream=quay\.io error="Error: lost ← TypeError: x is not a function \(E_X\)"\n {4}at /,
    )
  })

  it.each([
    ['exits at once', 'process.exit(0)'],
    ['has nothing more to do', ''],
  ])('writes to standard output, and all of it although the process %s', async (_, end) => {
    const script = `
      import { createLogger } from '${new URL('../../src/observe/logger.ts', import.meta.url).href}'
      const logger = createLogger({ level: 'info', format: 'auto' })
      for (let line = 1; line <= 1000; line += 1) logger.info({ line }, 'told')
      ${end}`
    const { stdout } = await promisify(execFile)(process.execPath, [
      '--input-type=module',
      '-e',
      script,
    ])
    const lines = stdout.trimEnd().split('\n')
    expect(lines).toHaveLength(1000)
    expect(JSON.parse(lines.at(-1) ?? '')).toMatchObject({ line: 1000, msg: 'told' })
  })
})
