import { describe, expect, it } from 'vitest'
import { parseWrk } from '../../../bench/support/wrk.ts'

const PRINTED = `Running 5s test @ http://127.0.0.1:6001/v2/bench/image/manifests/1
  1 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     2.24ms    1.31ms  44.11ms   97.23%
    Req/Sec    14.55k     1.01k   16.07k    88.00%
  Latency Distribution
     50%    2.07ms
     75%    2.30ms
     90%    2.66ms
     99%    6.02ms
  72402 requests in 5.00s, 171.24MB read
Requests/sec:  14472.97
Transfer/sec:     34.23MB
`

describe('what wrk prints', () => {
  it('tells requests, their rate and how long 99 of 100 took', () => {
    expect(parseWrk(PRINTED)).toEqual({ requests: 72_402, requestsPerSecond: 14_472.97, p99: 6.02 })
  })

  it.each([
    ['950.00us', 0.95],
    ['1.20s', 1_200],
    ['1.50m', 90_000],
  ])('has %s as %d ms', (printed, p99) => {
    expect(parseWrk(PRINTED.replace('6.02ms', printed)).p99).toBeCloseTo(p99)
  })

  it('is an error if an answer was one', () => {
    const text = PRINTED.replace('Requests/sec', 'Non-2xx or 3xx responses: 12\nRequests/sec')
    expect(() => parseWrk(text)).toThrow('12 answers were errors')
  })

  it('is an error if connections broke', () => {
    const broken = 'Socket errors: connect 0, read 3, write 0, timeout 1'
    const text = PRINTED.replace('Requests/sec', `  ${broken}\nRequests/sec`)
    expect(() => parseWrk(text)).toThrow('connections broke: connect 0, read 3')
  })

  it('is an error if there was no answer at all, or no sense in it', () => {
    expect(() => parseWrk(PRINTED.replace('72402 requests', '0 requests'))).toThrow('wrk answered')
    expect(() => parseWrk('')).toThrow('wrk answered')
  })
})
