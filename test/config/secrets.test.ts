import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { env, file } from '../../src/config/define-config.ts'
import { selfSigned } from '../support/certificate.ts'
import { makeTempDir } from '../support/temp-dir.ts'
import { load } from './load.ts'

const upstream = (value: object) => ({ upstreams: { 'a.example': { access: 'shared', ...value } } })

describe('credentials', () => {
  it('come from the text, a variable or a file', async () => {
    await using dir = await makeTempDir()
    const path = join(dir.path, 'password')
    await writeFile(path, 'from file\r\n')
    const auth = { username: env('NAME'), password: file(path) }
    const { config } = await load(upstream({ auth }), { env: { NAME: 'from variable' } })
    const [entry] = config.upstreams.values()
    expect(await entry?.credentials?.()).toEqual({
      username: 'from variable',
      password: 'from file',
    })
    const token = await load(upstream({ auth: { token: 'as it is' } }))
    expect(await [...token.config.upstreams.values()][0]?.credentials?.()).toEqual({
      token: 'as it is',
    })
  })

  it('are read anew each time, and say where they were when that fails', async () => {
    await using dir = await makeTempDir()
    const path = join(dir.path, 'token')
    await writeFile(path, 'old')
    const { config } = await load(upstream({ auth: { token: file(path) } }))
    const [entry] = config.upstreams.values()
    expect(await entry?.credentials?.()).toEqual({ token: 'old' })
    await writeFile(path, 'new\n')
    expect(await entry?.credentials?.()).toEqual({ token: 'new' })
    await writeFile(path, '\n')
    await expect(entry?.credentials?.()).rejects.toThrow(
      `cannot read the credentials of a.example: ${path} is empty`,
    )
    await dir.remove()
    await expect(entry?.credentials?.()).rejects.toThrow(
      `cannot read ${path}: there is no such file`,
    )
  })

  it('are absent where the file has none', async () => {
    const { config } = await load({})
    expect([...config.upstreams.values()].every((entry) => entry.credentials === undefined)).toBe(
      true,
    )
  })
})

describe('certificates of an upstream', () => {
  it('are read from the PEM file, which may hold several', async () => {
    await using dir = await makeTempDir()
    const path = join(dir.path, 'ca.pem')
    const pem = `# corp\n${selfSigned(['a.example']).cert}\n${selfSigned(['a.example']).cert}`
    await writeFile(path, pem)
    const { config } = await load(upstream({ ca: path }))
    expect([...config.upstreams.values()][0]?.ca).toBe(pem)
  })

  it('are refused if one of them is damaged', async () => {
    await using dir = await makeTempDir()
    const path = join(dir.path, 'ca.pem')
    const damaged = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----'
    await writeFile(path, `${selfSigned(['a.example']).cert}\n${damaged}`)
    await expect(load(upstream({ ca: path }))).rejects.toThrow(
      `ca: certificate 2 in ${path} cannot be read`,
    )
  })
})
