import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Logger } from '../../src/observe/logger.ts'
import type { RequestLogEntry } from '../../src/observe/request-log.ts'
import { RequestLog } from '../../src/observe/request-log.ts'
import { RegistryError } from '../../src/oci/registry-error.ts'
import { CANARY, collectLines } from './log-lines.ts'

function entry(change: Partial<RequestLogEntry> = {}): RequestLogEntry {
  return {
    id: '7f9c',
    method: 'GET',
    client: '::ffff:192.0.2.7',
    userAgent: 'containerd/2.1.4',
    ms: 12.6,
    status: 200,
    bytes: 1234,
    isCut: false,
    subject: {
      upstream: 'docker.io',
      repository: 'library/alpine',
      reference: '3.20',
      outcome: 'hit',
    },
    ...change,
  }
}

function logged(change: Partial<RequestLogEntry>): Record<string, unknown> {
  const { logger, lines, text } = collectLines()
  new RequestLog(logger).add(entry(change))
  expect(lines).toHaveLength(1)
  return JSON.parse(text()) as Record<string, unknown>
}

describe('the request log', () => {
  it('writes one line that says what was asked for and what came of it', () => {
    expect(logged({})).toEqual({
      level: 'info',
      time: expect.any(String),
      msg: 'request answered',
      requestId: '7f9c',
      method: 'GET',
      upstream: 'docker.io',
      repository: 'library/alpine',
      reference: '3.20',
      outcome: 'hit',
      status: 200,
      bytes: 1234,
      ms: 13,
      client: '192.0.2.7',
      userAgent: 'containerd/2.1.4',
    })
  })

  it('says why, and when an answer was cut short', () => {
    const error = new RegistryError('UNAVAILABLE', `https://u:${CANARY}@quay.io/ is down`)
    const subject = { detail: 'circuit-open', error }
    expect(logged({ status: 503, isCut: true, subject })).toMatchObject({
      level: 'warn',
      isCut: true,
      detail: 'circuit-open',
      error: { name: 'RegistryError', code: 'UNAVAILABLE', message: 'https://quay.io/ is down' },
    })
  })

  it.each([
    [200, 'docker', 'info'],
    [404, 'docker', 'info'],
    [500, 'docker', 'error'],
    [502, 'docker', 'warn'],
    [503, 'docker', 'warn'],
    [200, 'livez', 'trace'],
    [200, 'readyz', 'trace'],
    [503, 'readyz', 'warn'],
  ])('writes %i of %s at %s', (status, route, level) => {
    expect(logged({ status, subject: { route } })['level']).toBe(level)
  })

  it('bounds and cleans what the client says of itself', () => {
    const userAgent = `evil\u001b[2J${'x'.repeat(500)}`
    const line = logged({ userAgent, client: 'a\nb' })
    expect(line['userAgent']).toMatch(/^evil\?\[2Jx{192}…$/)
    expect(line['client']).toBe('a b')
  })

  it('reads as a sentence on a terminal', () => {
    const { logger, text } = collectLines({ format: 'pretty' })
    new RequestLog(logger).add(entry())
    new RequestLog(logger).add(entry({ subject: { route: 'livez' }, bytes: 0, client: undefined }))
    expect(text()).toMatch(
      /INFO: request answered {2}GET docker\.io\/library\/alpine:3\.20 {2}hit 200 {2}1\.23 kB 13 ms {2}client=192\.0\.2\.7 userAgent=containerd\/2\.1\.4 requestId=7f9c\n/,
    )
    expect(text()).toMatch(/TRACE: request answered {2}GET livez {2}200 {2}0 B 13 ms {2}userAgent/)
  })

  it('writes a digest after an @ on a terminal', () => {
    const { logger, text } = collectLines({ format: 'pretty' })
    const subject = { upstream: 'quay.io', repository: 'x', reference: 'sha256:ab' }
    new RequestLog(logger).add(entry({ subject }))
    expect(text()).toContain('GET quay.io/x@sha256:ab  200')
  })

  it('prints the same with a logger that takes whole lines and with one that does not', () => {
    const text = fc.oneof(fc.string({ unit: 'binary' }), fc.constant(`?token=${CANARY}&x`))
    const optional = fc.option(text, { nil: undefined })
    const subject = fc.record(
      { upstream: text, repository: text, reference: text, outcome: text, detail: text },
      { requiredKeys: [] },
    )
    const entries = fc.record({
      id: fc.uuid(),
      method: fc.constantFrom('GET', 'HEAD'),
      client: optional,
      userAgent: optional,
      ms: fc.double({ min: 0, max: 1e9, noNaN: true }),
      status: fc.constantFrom(200, 206, 404, 500, 503),
      bytes: fc.nat(),
      isCut: fc.boolean(),
      subject,
    })
    const { logger, lines } = collectLines()
    const general: Logger = Object.assign(Object.create(logger), { writeLine: undefined })
    const both = [new RequestLog(logger), new RequestLog(general)]
    fc.assert(
      fc.property(entries, (one) => {
        lines.length = 0
        for (const log of both) log.add(one)
        const [whole = '', other = ''] = lines.map((line) =>
          line.replace(/"time":"[^"]+"/, '"time":""'),
        )
        expect(whole).toBe(other)
        expect(whole).not.toContain(CANARY)
      }),
    )
  })
})
