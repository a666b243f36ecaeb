import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { answers, freePort, Program } from './programs.ts'
import { TokenServer } from './token-server.ts'

interface RegistryOptions {
  /** An empty folder of its own. */
  readonly dir: string
  /** Default: open to everyone. */
  readonly tokens?: TokenServer
  readonly service?: string
}

/** Debian's docker-registry with its data in a folder of the test. */
export async function startDockerRegistry(options: RegistryOptions): Promise<DockerRegistry> {
  const { dir, tokens, service = 'e2e' } = options
  await mkdir(dir, { recursive: true })
  const host = `127.0.0.1:${await freePort()}`
  const bundle = join(dir, 'tokens.pem')
  if (tokens !== undefined) await writeFile(bundle, tokens.rootCertificate)
  const auth = tokens && {
    auth: {
      token: {
        realm: `http://${tokens.host}/token`,
        service,
        issuer: TokenServer.issuer,
        rootcertbundle: bundle,
      },
    },
  }
  const config = join(dir, 'config.yml')
  // JSON is YAML.
  await writeFile(
    config,
    JSON.stringify({
      version: '0.1',
      log: { level: 'warn', accesslog: { disabled: true } },
      storage: { filesystem: { rootdirectory: join(dir, 'storage') } },
      http: { addr: host, secret: 'e2e' },
      ...auth,
    }),
  )
  const program = Program.start('docker-registry', ['serve', config])
  await program.ready(() => answers(`http://${host}/v2/`, [200, 401]))
  return { host, url: `http://${host}`, stop: async () => void (await program.stop()) }
}

export interface DockerRegistry {
  readonly host: string
  readonly url: string
  stop(): Promise<void>
}
