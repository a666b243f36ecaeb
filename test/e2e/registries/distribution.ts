import { join } from 'node:path'
import { writeConfig } from '../clients/pull-client.ts'
import { goProgram } from '../support/go-programs.ts'
import { answers, freePort, Program } from '../support/programs.ts'
import { TokenServer } from './token-server.ts'

/** CNCF Distribution: Debian's 2.8, or the current release. */
export const DISTRIBUTION_2 = 'docker-registry'
export const DISTRIBUTION_3 = goProgram('registry')

/** Who may pull and push. */
type Auth =
  | { readonly kind: 'token'; readonly tokens: TokenServer; readonly service: string }
  /** `htpasswd` is the file's content. */
  | { readonly kind: 'basic'; readonly htpasswd: string }

interface Options {
  readonly program: string
  /** An empty folder of its own. */
  readonly dir: string
  /** Default: open to everyone. */
  readonly auth?: Auth
}

export interface Registry {
  readonly host: string
  readonly url: string
  stop(): Promise<void>
}

/** A real registry with its data in a folder of the test. */
export async function startDistribution({ program, dir, auth }: Options): Promise<Registry> {
  const host = `127.0.0.1:${await freePort()}`
  const settings = {
    version: '0.1',
    log: { level: 'warn', accesslog: { disabled: true } },
    storage: { filesystem: { rootdirectory: join(dir, 'storage') } },
    http: { addr: host, secret: 'e2e' },
    ...(auth && { auth: await authSettings(dir, auth) }),
  }
  // JSON is YAML.
  const config = await writeConfig(dir, 'config.yml', JSON.stringify(settings))
  // Release 3 sends traces to a collector unless it is told not to.
  const env = { ...process.env, OTEL_TRACES_EXPORTER: 'none' }
  const running = Program.start(program, ['serve', config], { env })
  await running.ready(() => answers(`http://${host}/v2/`, [200, 401]))
  return { host, url: `http://${host}`, stop: async () => void (await running.stop()) }
}

async function authSettings(dir: string, auth: Auth): Promise<object> {
  if (auth.kind === 'basic') {
    return { htpasswd: { realm: 'e2e', path: await writeConfig(dir, 'htpasswd', auth.htpasswd) } }
  }
  const { tokens, service } = auth
  return {
    token: {
      realm: `http://${tokens.host}/token`,
      service,
      issuer: TokenServer.issuer,
      rootcertbundle: await writeConfig(dir, 'tokens.pem', tokens.rootCertificate),
    },
  }
}
