import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { load, problemsOf } from './load.ts'

describe('the environment', () => {
  it('goes before the file, and flags before the environment', async () => {
    const input = { server: { listen: ':1' }, storage: { dir: 'file' }, log: { level: 'fatal' } }
    const env = { OCI_MIRROR_LISTEN: ':2', OCI_MIRROR_DATA: '/env', OCI_MIRROR_LOG_LEVEL: 'debug' }
    const { config } = await load(input, { env })
    expect(config.server.listen.port).toBe(2)
    expect(config.storage.dir).toBe('/env')
    expect(config.log.level).toBe('debug')
    const flags = [{ path: ['server', 'listen'] as const, value: ':3', origin: '--listen' }]
    expect((await load(input, { env, flags })).config.server.listen.port).toBe(3)
  })

  it('moves the admin listener, or turns it off', async () => {
    const input = { admin: { listen: ':1' } }
    const moved = await load(input, { env: { OCI_MIRROR_ADMIN_LISTEN: '[::1]:2' } })
    expect(moved.config.admin.listen).toEqual({ host: '::1', port: 2 })
    const none = await load(input, { env: { OCI_MIRROR_ADMIN_LISTEN: 'false' } })
    expect(none.config.admin.listen).toBeUndefined()
    expect(await problemsOf({ admin: { listen: true } })).toEqual([
      'admin.listen: expected an address such as "127.0.0.1:5000", or ":5000" for every interface, or false for none, got true',
    ])
  })

  it('leaves the other keys of a section as they are', async () => {
    const { config } = await load(
      { server: { basePath: '/x' } },
      { env: { OCI_MIRROR_LISTEN: ':2' } },
    )
    expect(config.server).toMatchObject({ basePath: '/x', listen: { host: '', port: 2 } })
  })

  it('takes a variable without a value for one that is not set', async () => {
    const env = { OCI_MIRROR_LISTEN: '', OCI_MIRROR_DATA: '', OCI_MIRROR_CONFIG: '' }
    const { config } = await load({ server: { listen: ':1' } }, { env })
    expect(config.server.listen.port).toBe(1)
  })

  it('is named when a value of it is wrong', async () => {
    const env = { OCI_MIRROR_LISTEN: 'nowhere', OCI_MIRROR_LOG_LEVEL: 'loud' }
    expect(await problemsOf({ log: { format: 'x' } }, { env })).toEqual([
      'OCI_MIRROR_LISTEN: expected an address such as "127.0.0.1:5000", or ":5000" for every interface, got "nowhere"',
      'OCI_MIRROR_LOG_LEVEL: expected "trace", "debug", "info", "warn", "error", "fatal" or "silent", got "loud"',
      'log.format: expected "auto", "json" or "pretty", got "x"',
    ])
  })

  it('is refused where it looks like ours and is not', async () => {
    const env = { OCI_MIRROR_LISTN: ':2', OCI_MIRROR_COLOUR: 'x', OCI_MIRRORS: 'x' }
    const known =
      'OCI_MIRROR_CONFIG, OCI_MIRROR_LISTEN, OCI_MIRROR_ADMIN_LISTEN, OCI_MIRROR_DATA, OCI_MIRROR_LOG_LEVEL, OCI_MIRROR_OFFLINE'
    expect(await problemsOf({}, { env })).toEqual([
      'environment: OCI_MIRROR_LISTN: unknown variable (did you mean "OCI_MIRROR_LISTEN"?)',
      `environment: OCI_MIRROR_COLOUR: unknown variable (known: ${known})`,
    ])
  })

  it('may hold what Kubernetes says about a service named oci-mirror', async () => {
    const links = {
      OCI_MIRROR_SERVICE_HOST: '10.0.0.1',
      OCI_MIRROR_SERVICE_PORT: '5000',
      OCI_MIRROR_SERVICE_PORT_HTTP: '5000',
      OCI_MIRROR_PORT: 'tcp://10.0.0.1:5000',
      OCI_MIRROR_PORT_5000_TCP: 'tcp://10.0.0.1:5000',
      OCI_MIRROR_PORT_5000_TCP_ADDR: '10.0.0.1',
      OCI_MIRROR_HEADLESS_SERVICE_HOST: '10.0.0.2',
    }
    expect(
      await problemsOf({}, { env: { ...links, KUBERNETES_SERVICE_HOST: '10.0.0.3' } }),
    ).toEqual([])
    expect(await problemsOf({}, { env: links })).toHaveLength(Object.keys(links).length)
  })

  it('is checked although the file cannot be read', async () => {
    const env = { OCI_MIRROR_LISTN: 'x', OCI_MIRROR_CONFIG: join('nowhere', 'x.yaml') }
    const problems = await problemsOf({}, { env })
    expect(problems).toEqual([
      'environment: OCI_MIRROR_LISTN: unknown variable (did you mean "OCI_MIRROR_LISTEN"?)',
      'nowhere/x.yaml: cannot be read: there is no such file',
    ])
  })
})
