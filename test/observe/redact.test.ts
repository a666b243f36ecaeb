import { errors } from 'undici'
import { describe, expect, it } from 'vitest'
import { redactError, redactText, redactUrl } from '../../src/observe/redact.ts'
import { RegistryError } from '../../src/oci/registry-error.ts'
import { CANARY } from './log-lines.ts'

describe('redactUrl', () => {
  it.each([
    ['https://quay.io/v2/org/x/blobs/sha256:abc', 'https://quay.io/v2/org/x/blobs/sha256:abc'],
    [`https://cdn.example:8443/a/b?X-Amz-Signature=${CANARY}`, 'https://cdn.example:8443/a/b'],
    [`https://user:${CANARY}@quay.io/v2/`, 'https://quay.io/v2/'],
    [`https://${CANARY}@quay.io/`, 'https://quay.io/'],
    [`https://quay.io/x#${CANARY}`, 'https://quay.io/x'],
    ['http://[::1]:5000/v2/', 'http://[::1]:5000/v2/'],
    ['file:///etc/hosts', 'file:///etc/hosts'],
    [`no url ${CANARY}`, '<invalid URL>'],
    ['', '<invalid URL>'],
  ])('prints %s as %s', (url, expected) => {
    expect(redactUrl(url)).toBe(expected)
  })

  it('takes a URL object', () => {
    expect(redactUrl(new URL(`https://u:${CANARY}@quay.io/v2/?a=${CANARY}`))).toBe(
      'https://quay.io/v2/',
    )
  })
})

describe('redactText', () => {
  it.each([
    'manifest unknown to this registry',
    'docker.io/library/alpine:3.20',
    'connect ECONNREFUSED 127.0.0.1:5000',
    'asked https://quay.io/v2/ and got 500.',
    'asked https://quay.io/v2/org/x@sha256:abc, twice',
    'Basic auth failed, bearer token expired',
    'token: expired 5 minutes ago',
    'is this it? yes',
  ])('leaves "%s" as it is', (text) => {
    expect(redactText(text)).toBe(text)
  })

  it.each([
    [`GET https://u:${CANARY}@quay.io/v2/x failed`, 'GET https://quay.io/v2/x failed'],
    [`GET "https://cdn.example/b?sig=${CANARY}" failed`, 'GET "https://cdn.example/b" failed'],
    [`(see https://h/x?a=${CANARY}).`, '(see https://h/x).'],
    [`https://u:${CANARY}/x@quay.io/v2/`, 'https://<redacted>'],
    [`https://u:${CANARY}?x@quay.io/v2/`, 'https://<redacted>'],
    [`https://u:a@${CANARY}@quay.io/v2/`, 'https://quay.io/v2/'],
    [`HTTPS://quay.io?${CANARY}`, 'HTTPS://quay.io'],
    [`redis+tls://:${CANARY}@h:6379/0`, 'redis+tls://h:6379/0'],
    [`two: https://a/?x=${CANARY} https://b/?y=${CANARY}`, 'two: https://a/ https://b/'],
    [`GET /v2/x?X-Amz-Signature=${CANARY}&y=1 failed`, 'GET /v2/x?<redacted> failed'],
    [`Authorization: Bearer ${CANARY}`, 'Authorization: <redacted> <redacted>'],
    [`sent Bearer ${CANARY} there`, 'sent Bearer <redacted> there'],
    ['sent basic dXNlcjpwYXNz', 'sent basic <redacted>'],
    [`grant_type=password&password=${CANARY}&x=1`, 'grant_type=password&password=<redacted>&x=1'],
    [`{"access_token": "${CANARY}", "x": 1}`, '{"access_token": "<redacted>", "x": 1}'],
    [`{"identitytoken":"${CANARY}"}`, '{"identitytoken":"<redacted>"}'],
    [`Set-Cookie: ${CANARY}`, 'Set-Cookie: <redacted>'],
    [`x-api-key: ${CANARY}`, 'x-api-key: <redacted>'],
  ])('prints %s as %s', (text, expected) => {
    expect(redactText(text)).toBe(expected)
  })

  it('keeps a text on one line and shows no control character', () => {
    expect(redactText('a\r\nb\u001b[31mc\u009bd\u202ee\u0000f\u2028g\ud800h')).toBe(
      'a b?[31mc?d?e?f?g?h',
    )
  })

  it('bounds the length, and cuts no URL open', () => {
    expect(redactText('x'.repeat(5000))).toHaveLength(1001)
    const text = `${'x'.repeat(1980)} https://user:${CANARY}@quay.io/`
    expect(redactText(text)).not.toContain('Canary')
  })

  it.each(['?', ')', 'a=', 'a:"', '://', 'https://', 'bearer ', '@', 'x-'])(
    'ends for a long run of %j',
    (piece) => {
      expect(redactText(piece.repeat(1_000_000 / piece.length)).length).toBeLessThan(1100)
    },
  )
})

describe('redactError', () => {
  it('keeps name, message and code of the whole chain and nothing else', () => {
    const socket = Object.assign(new Error(`connect to https://u:${CANARY}@quay.io/?t=${CANARY}`), {
      code: 'ECONNREFUSED',
      headers: { authorization: `Bearer ${CANARY}` },
      address: CANARY,
    })
    const failure = new RegistryError('UNAVAILABLE', 'docker.io did not answer', { cause: socket })
    expect(redactError(failure)).toEqual({
      name: 'RegistryError',
      message: 'docker.io did not answer',
      code: 'UNAVAILABLE',
      cause: { name: 'Error', message: 'connect to https://quay.io/', code: 'ECONNREFUSED' },
    })
  })

  it('takes nothing of the headers and body that undici puts into its errors', () => {
    const error = new errors.ResponseError('Response status code 401', 401, {
      headers: { 'www-authenticate': CANARY, 'set-cookie': CANARY },
      body: { token: CANARY },
    })
    expect(redactError(error)).toEqual({
      name: 'ResponseError',
      message: 'Response status code 401',
      code: 'UND_ERR_RESPONSE',
    })
  })

  it('lists what an AggregateError tried', () => {
    const attempts = ['::1', '127.0.0.1', 'a', 'b'].map((host) => new Error(`connect ${host}`))
    const { errors: listed } = redactError(new AggregateError(attempts, 'all failed'))
    expect(listed?.map(({ message }) => message)).toEqual([
      'connect ::1',
      'connect 127.0.0.1',
      'connect a',
    ])
  })

  it('ends for a chain that bites its own tail', () => {
    const error = new Error('first')
    error.cause = new Error('second', { cause: error })
    expect(JSON.stringify(redactError(error)).match(/second/g)).toHaveLength(2)
  })

  it('shows frames for faults of our own code, and only those', () => {
    const [frame] = redactError(new TypeError('x is undefined')).stack ?? []
    expect(frame).toMatch(/^at .*redact\.test\.ts:\d+:\d+\)?$/)
    expect(redactError(new Error('disk full'))).not.toHaveProperty('stack')
  })

  it.each([
    [`https://u:${CANARY}@h/`, { name: 'thrown value', message: 'https://h/' }],
    [{ token: CANARY }, { name: 'thrown value', message: '<object>' }],
    [undefined, { name: 'thrown value', message: '<undefined>' }],
  ])('tells %j from an error', (thrown, expected) => {
    expect(redactError(thrown)).toEqual(expected)
  })
})
