import type { ConfigInput } from './config-input.ts'
import type { Secret } from './secret.ts'

export type { ConfigInput } from './config-input.ts'
export type { Secret } from './secret.ts'

/**
 * Gives a configuration file its types; returns what it is given.
 *
 * @example
 * import { defineConfig, file } from 'oci-mirror'
 *
 * export default defineConfig({
 *   upstreams: {
 *     'docker.io': {
 *       auth: { username: 'bot', password: file('/run/secrets/hub') },
 *       access: 'shared',
 *     },
 *   },
 * })
 */
export function defineConfig(config: ConfigInput): ConfigInput {
  return config
}

/** A secret in an environment variable. One that is not set, or empty, is refused at start. */
export function env(name: string): Secret {
  return { env: name }
}

/**
 * A secret in a file, without the line break at its end; the path is relative to the configuration
 * file. It is read anew each time it is needed, so it may be rotated while the mirror runs.
 */
export function file(path: string): Secret {
  return { file: path }
}
