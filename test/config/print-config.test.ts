import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { loadConfig } from '../../src/config/load-config.ts'
import { formatConfig, printableConfig } from '../../src/config/print-config.ts'
import { makeTempDir } from '../support/temp-dir.ts'
import { load } from './load.ts'

const FULL = {
  server: {
    listen: '[::1]:5001',
    basePath: '/m',
    publicUrl: 'https://m.example',
    names: ['m.lan'],
  },
  admin: { listen: false },
  storage: { dir: '/data', maxSize: '200GB', minFree: '2.5%' },
  defaultUpstream: false,
  upstreams: {
    'a.example': {
      endpoints: ['https://eu.a.example', 'https://a.example'],
      aliases: ['a'],
      hosts: ['a.m.lan'],
      tags: { ttl: '1h30m', patience: '500ms', onGone: 'keep', immutable: ['v*'] },
      insecure: true,
      tokenRealms: ['auth.example'],
      redirectHosts: ['minio:9000'],
      connections: 3,
    },
    'docker.io': {},
  },
  staleIfError: '7d',
  log: { level: 'debug', format: 'json' },
}

describe('the printed configuration', () => {
  it('never shows a secret, but where one is kept', async () => {
    const canary = 'canary-7f3a'
    const loaded = await load(
      {
        upstreams: {
          'a.example': { access: 'shared', auth: { username: canary, password: canary } },
          'b.example': { access: 'shared', auth: { token: { env: 'B_TOKEN' } } },
        },
      },
      { env: { B_TOKEN: canary } },
    )
    expect(formatConfig(loaded, 'yaml')).not.toContain(canary)
    expect(formatConfig(loaded, 'json')).not.toContain(canary)
    expect(printableConfig(loaded)).toMatchObject({
      upstreams: {
        'a.example': { auth: { username: '<redacted>', password: '<redacted>' } },
        'b.example': { auth: { token: { env: 'B_TOKEN' } } },
      },
    })
  })

  it('shows which Docker file, helper and server the credentials come from', async () => {
    await using dir = await makeTempDir()
    const path = join(dir.path, 'config.json')
    const auth = Buffer.from('user:canary').toString('base64')
    await writeFile(path, JSON.stringify({ auths: { 'b.example': { auth } } }))
    await writeFile(join(dir.path, 'docker-credential-pass'), '', { mode: 0o755 })
    const byHelper = { helper: 'pass', server: 'https://a.example/' }
    const byFile = { dockerConfig: path }
    const loaded = await load(
      {
        upstreams: {
          'a.example': { access: 'shared', auth: byHelper },
          'b.example': { access: 'shared', auth: byFile },
        },
      },
      { env: { PATH: dir.path, https_proxy: 'http://user:canary@proxy.example:3128' } },
    )
    expect(printableConfig(loaded)).toMatchObject({
      upstreams: { 'a.example': { auth: byHelper }, 'b.example': { auth: byFile } },
    })
    const text = formatConfig(loaded, 'yaml')
    expect(text).not.toContain('canary')
    expect(text).not.toContain(auth)
  })

  it.each(['json', 'yaml'] as const)(
    'is a configuration file that means the same, as %s',
    async (format) => {
      await using dir = await makeTempDir()
      const before = await load(FULL)
      const file = join(dir.path, `printed.${format}`)
      await writeFile(file, formatConfig(before, format))
      const after = await loadConfig({ env: {}, cwd: dir.path, file })
      expect({ ...after.config, source: '' }).toEqual({ ...before.config, source: '' })
      expect(printableConfig(after)).toEqual(printableConfig(before))
    },
  )

  it('says the same in both forms, with the defaults', async () => {
    const loaded = await load({}, { env: { OCI_MIRROR_LISTEN: ':1' } })
    const yaml: unknown = parse(formatConfig(loaded, 'yaml'))
    expect(yaml).toEqual(JSON.parse(formatConfig(loaded, 'json')))
    expect(yaml).toMatchObject({
      server: { listen: ':1' },
      storage: { minFree: '10%' },
      defaultUpstream: 'docker.io',
      upstreams: { 'docker.io': { url: 'https://registry-1.docker.io/', tags: { ttl: '5m' } } },
      staleIfError: '30d',
    })
  })
})
