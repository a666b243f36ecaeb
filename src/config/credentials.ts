import { resolve } from 'node:path'
import type { UpstreamName } from '../oci/reference.ts'
import type { CredentialHelper, Credentials } from './config.ts'
import { dockerServer, readDockerConfig } from './docker-config.ts'
import type { SecretPlace } from './secret.ts'
import { readSecret } from './secret.ts'
import type { UpstreamSettings } from './settings.ts'

type Auth = NonNullable<UpstreamSettings['auth']>

/**
 * What `auth` stands for now: files are read each time. Throws an Error whose message names the upstream,
 * the place, and what is wrong with it.
 */
export async function readCredentials(
  upstream: UpstreamName,
  auth: Auth,
  place: SecretPlace,
): Promise<Credentials | CredentialHelper> {
  try {
    return await readForm(upstream, auth, place)
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new Error(`cannot read the credentials of ${upstream}: ${reason}`, { cause })
  }
}

async function readForm(
  upstream: UpstreamName,
  auth: Auth,
  place: SecretPlace,
): Promise<Credentials | CredentialHelper> {
  const { username, password, token, dockerConfig, helper } = auth
  const server = auth.server ?? dockerServer(upstream)
  if (helper !== undefined) return { helper, server }
  if (dockerConfig !== undefined) return readDockerConfig(resolve(place.dir, dockerConfig), server)
  if (token !== undefined) return { token: await readSecret(token, place) }
  return {
    username: await readSecret(username ?? '', place),
    password: await readSecret(password ?? '', place),
  }
}
