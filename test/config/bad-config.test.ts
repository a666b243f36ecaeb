import { describe, expect, it } from 'vitest'
import { problemsOf } from './load.ts'

const SHARED =
  'expected "shared", because this upstream has credentials: every client of the mirror will be able ' +
  "to read whatever they open. Write access: 'shared' if that is what you want"
const ONE_FORM = 'expected one of username and password, token, dockerConfig, or helper'
const HELPER =
  'expected the name of a credential helper such as "ecr-login", without "docker-credential-"'
const SERVER = 'expected the name of a server such as "123.dkr.ecr.eu-west-1.amazonaws.com"'
const SECRET =
  "expected a text, env('NAME') or file('path'); in YAML and JSON " +
  '{ "env": "NAME" } or { "file": "path" }'
const ADDRESS = 'expected an address such as "127.0.0.1:5000", or ":5000" for every interface'
const DURATION = 'expected a duration such as "30s", "5m", "1h30m" or "30d"'
const SIZE = 'expected a size such as "200GB", "512MiB" or a number of bytes'
const FREE = 'expected a part of the disk such as "10%", or a size such as "10GB"'
const HOST = 'expected a host name such as "mirror.example.com" or "mirror.example.com:5000"'
const PATH = 'expected a path such as "/mirror", with a "/" before it and none after it'
const REGISTRY = 'expected a URL with http:// or https:// such as "https://registry.example.com"'
const CONNECTIONS = 'expected a whole number from 1 to 1024'
const GLOB = 'expected a glob of tags such as "v*", "acme/app:release-*" or "library/**"'

const server = (value: unknown) => ({ server: value })
const storage = (value: unknown) => ({ storage: value })
const upstream = (value: unknown) => ({ upstreams: { 'a.example': value } })
const tags = (value: unknown) => upstream({ tags: value })
const AT = 'upstreams["a.example"]'

const CASES: readonly (readonly [title: string, input: object, ...problems: string[]])[] = [
  ['a list', [], 'expected a table, got a list'],
  ['an unknown key', { upstrems: {} }, 'upstrems: unknown key (did you mean "upstreams"?)'],
  [
    'an unknown key like no other',
    { metrics: 1 },
    'metrics: unknown key (known here: server, admin, storage, defaultUpstream, upstreams, staleIfError, warm, log)',
  ],
  [
    'a key in another style',
    server({ public_url: 1 }),
    'server.public_url: unknown key (did you mean "publicUrl"?)',
  ],
  [
    'an unknown key deep inside',
    tags({ pateince: '1s' }),
    `${AT}.tags.pateince: unknown key (did you mean "patience"?)`,
  ],
  ['a section of the wrong type', { server: 'x' }, 'server: expected a table, got "x"'],
  [
    'a section without content',
    { log: null },
    'log: expected a table, got null: write {} for all defaults',
  ],
  [
    'an address without a port',
    server({ listen: 'localhost' }),
    `server.listen: ${ADDRESS}, got "localhost"`,
  ],
  ['a port that is none', server({ listen: ':70000' }), `server.listen: ${ADDRESS}, got ":70000"`],
  [
    'an IPv6 address without brackets',
    server({ listen: '::1:5000' }),
    `server.listen: ${ADDRESS}, got "::1:5000"`,
  ],
  [
    'an IPv6 address that is none',
    server({ listen: '[::g]:5000' }),
    `server.listen: ${ADDRESS}, got "[::g]:5000"`,
  ],
  ['a listener of the wrong type', server({ listen: true }), `server.listen: ${ADDRESS}, got true`],
  ['a base path without a slash', server({ basePath: 'x' }), `server.basePath: ${PATH}, got "x"`],
  [
    'a base path that ends in a slash',
    server({ basePath: '/x/' }),
    `server.basePath: ${PATH}, got "/x/"`,
  ],
  [
    'a base path that climbs',
    server({ basePath: '/a/../b' }),
    `server.basePath: ${PATH}, got "/a/../b"`,
  ],
  [
    'a base path with v2',
    server({ basePath: '/a/v2' }),
    'server.basePath: expected a path without "v2": clients add "/v2" after it, got "/a/v2"',
  ],
  [
    'a public URL of another scheme',
    server({ publicUrl: 'ftp://x' }),
    'server.publicUrl: expected a URL with http:// or https:// such as "https://mirror.example.com", got "ftp://x"',
  ],
  [
    'a public URL with a query',
    server({ publicUrl: 'https://x/?a=b' }),
    'server.publicUrl: expected a URL without "?" and "#", got "https://x/?<redacted>"',
  ],
  [
    'a name that is a URL',
    server({ names: ['https://x'] }),
    `server.names[0]: ${HOST}, got "https://x"`,
  ],
  ['names that are no list', server({ names: 'x' }), 'server.names: expected a list, got "x"'],
  [
    'an empty directory',
    storage({ dir: '' }),
    'storage.dir: expected the path of a directory, got ""',
  ],
  ['a size without a number', storage({ maxSize: 'lots' }), `storage.maxSize: ${SIZE}, got "lots"`],
  [
    'a size in a unit that is none',
    storage({ maxSize: '10 GX' }),
    `storage.maxSize: ${SIZE}, got "10 GX"`,
  ],
  ['a negative size', storage({ maxSize: -1 }), `storage.maxSize: ${SIZE}, got -1`],
  ['a part that is all', storage({ minFree: '100%' }), `storage.minFree: ${FREE}, got "100%"`],
  [
    'a default upstream that is not there',
    { defaultUpstream: 'dockr.io' },
    'defaultUpstream: is not a configured upstream (did you mean "docker.io"?)',
  ],
  [
    'a default upstream like none',
    { defaultUpstream: 'nowhere.example', upstreams: { 'a.example': {} } },
    'defaultUpstream: is not a configured upstream (configured: a.example)',
  ],
  [
    'true for no upstream',
    { defaultUpstream: true },
    'defaultUpstream: expected the name of an upstream, or false for none, got true',
  ],
  [
    'no upstream at all',
    { upstreams: {} },
    'upstreams: expected at least one upstream, got an empty table',
  ],
  [
    'an upstream that is null',
    { upstreams: { 'a.example': null } },
    `${AT}: expected a table, got null: write {} for all defaults`,
  ],
  [
    'an upstream by its URL',
    { upstreams: { 'https://a.example': {} } },
    'upstreams["https://a.example"]: expected the host of a registry such as "ghcr.io", without https://',
  ],
  [
    'an upstream without a dot',
    { upstreams: { corp: {} } },
    'upstreams.corp: expected a host with a "." or a port: use the name that stands in image names, and put this one into aliases',
  ],
  [
    'one upstream twice',
    { upstreams: { 'docker.io': {}, 'Index.Docker.io': {} } },
    'upstreams["Index.Docker.io"]: is the same upstream as "docker.io": both are docker.io',
  ],
  [
    'a URL of another scheme',
    upstream({ url: 'ftp://a' }),
    `${AT}.url: ${REGISTRY}, got "ftp://a"`,
  ],
  ['a URL without a host', upstream({ url: 'https:a' }), `${AT}.url: ${REGISTRY}, got "https:a"`],
  [
    'a URL with a fragment',
    upstream({ url: 'https://a#' }),
    `${AT}.url: expected a URL without "?" and "#", got "https://a?<redacted>"`,
  ],
  [
    'a URL with /v2',
    upstream({ url: 'https://a/v2/' }),
    `${AT}.url: expected a URL without "/v2" at its end: the mirror adds it, got "https://a/v2/"`,
  ],
  [
    'a URL and endpoints',
    upstream({ url: 'https://a', endpoints: ['https://b'] }),
    `${AT}.endpoints: does not go with url: list that one here too, and leave out url`,
  ],
  [
    'no endpoint',
    upstream({ endpoints: [] }),
    `${AT}.endpoints: expected at least one URL, got a list`,
  ],
  [
    'an endpoint that is none',
    upstream({ endpoints: ['https://a', 'b'] }),
    `${AT}.endpoints[1]: ${REGISTRY}, got "b"`,
  ],
  [
    'an alias that hides images',
    upstream({ aliases: ['library'] }),
    `${AT}.aliases[0]: "library" is the beginning of other images' names`,
  ],
  [
    'an alias of two',
    { upstreams: { 'a.example': { aliases: ['hub'] }, 'b.example': { aliases: ['HUB'] } } },
    'upstreams["b.example"].aliases[0]: "HUB" already means the upstream "a.example"',
  ],
  [
    'an alias that is an upstream',
    { upstreams: { 'a.example': { aliases: ['B.example:443'] }, 'b.example': {} } },
    `${AT}.aliases[0]: "B.example:443" already means the upstream "b.example"`,
  ],
  [
    "the mirror's name as an upstream's",
    { server: { names: ['a.example'] }, ...upstream({}) },
    'server.names[0]: "a.example" already means the upstream "a.example"',
  ],
  [
    "the public name as an upstream's",
    { server: { publicUrl: 'https://a.example' }, ...upstream({}) },
    'server.publicUrl: "a.example" already means the upstream "a.example"',
  ],
  [
    'a host of two',
    { upstreams: { 'a.example': { hosts: ['m.lan'] }, 'b.example': { hosts: ['M.lan:443'] } } },
    'upstreams["b.example"].hosts[0]: "M.lan:443" already leads to the upstream "a.example"',
  ],
  [
    'a port where nothing listens',
    upstream({ hosts: [':5001'] }),
    `${AT}.hosts[0]: the mirror does not listen on port 5001, but on 5000`,
  ],
  ['credentials without access', upstream({ auth: { token: 't' } }), `${AT}.access: ${SHARED}`],
  [
    'access for some',
    upstream({ access: 'privat' }),
    `${AT}.access: expected "shared", got "privat"`,
  ],
  [
    'a user without a password',
    upstream({ access: 'shared', auth: { username: 'u' } }),
    `${AT}.auth: ${ONE_FORM}`,
  ],
  [
    'a token and a user',
    upstream({ access: 'shared', auth: { token: 't', username: 'u' } }),
    `${AT}.auth: ${ONE_FORM}`,
  ],
  ['no credentials at all', upstream({ access: 'shared', auth: {} }), `${AT}.auth: ${ONE_FORM}`],
  [
    'a Docker file and a helper',
    upstream({ access: 'shared', auth: { dockerConfig: '/nowhere/config.json', helper: 'none' } }),
    `${AT}.auth: ${ONE_FORM}`,
    `${AT}.auth.helper: there is no program docker-credential-none in the PATH: install it, or correct the name`,
    `${AT}.auth.dockerConfig: cannot read /nowhere/config.json: there is no such file`,
  ],
  [
    'a server that nobody is asked for',
    upstream({ access: 'shared', auth: { token: 't', server: 'b.example' } }),
    `${AT}.auth: has a server, which only dockerConfig and helper make use of`,
  ],
  ...['../evil', 'a b', 'docker-credential-pass', 'Pass', '-x', ''].map(
    (helper) =>
      [
        `a helper called "${helper}"`,
        upstream({ access: 'shared', auth: { helper } }),
        `${AT}.auth.helper: ${HELPER}, got a string`,
      ] as const,
  ),
  ...['a\nb', 'user@a.example', ''].map(
    (server) =>
      [
        `a server called ${JSON.stringify(server)}`,
        upstream({ access: 'shared', auth: { dockerConfig: '/nowhere', server } }),
        `${AT}.auth.server: ${SERVER}, got a string`,
        `${AT}.auth.dockerConfig: cannot read /nowhere: there is no such file`,
      ] as const,
  ),
  [
    'a Docker file without access',
    upstream({ auth: { dockerConfig: '/nowhere' } }),
    `${AT}.access: ${SHARED}`,
    `${AT}.auth.dockerConfig: cannot read /nowhere: there is no such file`,
  ],
  [
    'a secret that is a number',
    upstream({ access: 'shared', auth: { token: 12345678 } }),
    `${AT}.auth.token: ${SECRET}, got a number`,
  ],
  [
    'credentials in one text',
    upstream({ access: 'shared', auth: 'user:hunter2' }),
    `${AT}.auth: expected a table, got a string`,
  ],
  [
    'an empty secret',
    upstream({ access: 'shared', auth: { token: '' } }),
    `${AT}.auth.token: the text is empty`,
  ],
  [
    'a secret of two lines',
    upstream({ access: 'shared', auth: { token: 'a\nb' } }),
    `${AT}.auth.token: the text has more than one line`,
  ],
  [
    'a variable that is not set',
    upstream({ access: 'shared', auth: { token: { env: 'NOT_SET' } } }),
    `${AT}.auth.token: the environment variable NOT_SET is not set`,
  ],
  [
    'a secret where a variable belongs',
    upstream({ access: 'shared', auth: { token: { env: 'hunter-2!' } } }),
    `${AT}.auth.token: ${SECRET}, got a table`,
  ],
  [
    'a secret file that is not there',
    upstream({ access: 'shared', auth: { token: { file: '/nowhere/t' } } }),
    `${AT}.auth.token: cannot read /nowhere/t: there is no such file`,
  ],
  ['a duration without a unit', tags({ ttl: 5 }), `${AT}.tags.ttl: ${DURATION}, got 5`],
  [
    'a duration in words',
    tags({ ttl: '5 minutes' }),
    `${AT}.tags.ttl: ${DURATION}, got "5 minutes"`,
  ],
  [
    'a duration beyond reason',
    { staleIfError: '9999d' },
    'staleIfError: expected a duration of at most 3650d, got "9999d"',
  ],
  [
    'more patience than there is',
    tags({ patience: '1m' }),
    `${AT}.tags.patience: expected a duration of at most 15s, got "1m"`,
  ],
  [
    'a choice with a typing error',
    tags({ onGone: 'kepp' }),
    `${AT}.tags.onGone: expected "drop" or "keep", got "kepp" (did you mean "keep"?)`,
  ],
  [
    'a glob that matches nothing',
    tags({ immutable: ['repo:'] }),
    `${AT}.tags.immutable[0]: ${GLOB}, got "repo:"`,
  ],
  [
    'a certificate file that is not there',
    upstream({ ca: '/nowhere/ca.pem' }),
    `${AT}.ca: cannot read /nowhere/ca.pem: there is no such file`,
  ],
  [
    'a certificate file that is none',
    upstream({ ca: '/etc/hostname' }),
    `${AT}.ca: /etc/hostname holds no certificate in PEM form`,
  ],
  [
    'certificates that are not looked at',
    upstream({ ca: '/nowhere', insecure: true }),
    `${AT}.ca: does nothing with insecure: true, which accepts any certificate`,
    `${AT}.ca: cannot read /nowhere: there is no such file`,
  ],
  [
    'a text for true',
    upstream({ insecure: 'yes' }),
    `${AT}.insecure: expected true or false, got "yes"`,
  ],
  [
    'a realm that is a URL',
    upstream({ tokenRealms: ['https://u:hunter2@h'] }),
    `${AT}.tokenRealms[0]: ${HOST}, got "https://<redacted>@h"`,
  ],
  ['no connection', upstream({ connections: 0 }), `${AT}.connections: ${CONNECTIONS}, got 0`],
  [
    'half a connection',
    upstream({ connections: 1.5 }),
    `${AT}.connections: ${CONNECTIONS}, got 1.5`,
  ],
  [
    'a reserve of less than nothing',
    upstream({ rateLimit: { reserve: -1 } }),
    `${AT}.rateLimit.reserve: expected a whole number of pulls, 0 for no reserve, got -1`,
  ],
  [
    'a level of another logger',
    { log: { level: 'warning' } },
    'log.level: expected "trace", "debug", "info", "warn", "error", "fatal" or "silent", got "warning" (did you mean "warn"?)',
  ],
  [
    'a log format',
    { log: { format: 'text' } },
    'log.format: expected "auto", "json" or "pretty", got "text"',
  ],
]

describe('a configuration that is wrong', () => {
  for (const [title, input, ...problems] of CASES) {
    it(`is refused: ${title}`, async () => {
      expect(await problemsOf(input)).toEqual(problems)
    })
  }

  it('is refused with all that is wrong, whichever check finds it', async () => {
    const problems = await problemsOf({
      server: { listen: 'x', lsiten: 1 },
      defaultUpstream: 'c.example',
      upstreams: {
        'a.example': { url: 'x', aliases: ['one'], auth: { token: { env: 'NOT_SET' } } },
        'b.example': { aliases: ['one'], connections: -1, hosts: [':1'] },
      },
    })
    expect(problems.map((line) => line.slice(0, line.indexOf(': ')))).toEqual([
      'server.listen',
      'server.lsiten',
      `${AT}.url`,
      'upstreams["b.example"].connections',
      'upstreams["b.example"].aliases[0]',
      'defaultUpstream',
      `${AT}.access`,
      `${AT}.auth.token`,
    ])
  })

  it('never repeats what may be a secret', async () => {
    const secret = 'hunter2'
    const problems = await problemsOf({
      server: {
        publicUrl: `https://joe:${secret}@x`,
        names: [`joe:${secret}@x`],
        [`a://${secret}@b`]: 1,
      },
      upstreams: {
        [`https://joe:${secret}@y`]: {},
        'a.example': {
          url: `https://joe:${secret}@a.example`,
          auth: { username: [secret], password: { env: `${secret}!` }, token: { [secret]: 1 } },
        },
        'b.example': { url: `https://b.example?token=${secret}`, auth: secret },
        'c.example': { auth: { helper: `${secret}!`, server: `joe:${secret}@c`, dockerConfig: 1 } },
      },
    })
    expect(problems.length).toBeGreaterThan(8)
    expect(problems.join('\n')).not.toContain(secret)
  })
})
