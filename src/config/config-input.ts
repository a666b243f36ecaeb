import type { UpstreamMode } from '../core/upstream-mode.ts'
import type { LogFormat, LogLevel } from './config.ts'
import type { Secret } from './secret.ts'

/**
 * What a configuration file may say. Every key is optional, the empty configuration works, and a key
 * that is not here is refused. Durations are texts such as `30s`, `5m`, `1h30m` or `30d`; sizes are
 * texts such as `200GB` or `512MiB`, or a number of bytes.
 */
export interface ConfigInput {
  /** Where the mirror listens, and what it is called. */
  readonly server?: ServerInput | undefined
  /** The second listener, for those who look after the mirror. */
  readonly admin?: AdminInput | undefined
  /** Where content is kept, and how much of it. */
  readonly storage?: StorageInput | undefined
  /**
   * The upstream of requests that name none, as those of Docker's registry-mirrors do. False for
   * none: such requests are answered 404. Default: docker.io, if it is configured.
   */
  readonly defaultUpstream?: string | false | undefined
  /**
   * The registries that are mirrored, by the host that stands in image names. Replaces the default
   * set as a whole: the mirror dials nothing that is not listed.
   */
  readonly upstreams?: Readonly<Record<string, UpstreamInput>> | undefined
  /**
   * How long after its time to live a tag may still be served while its upstream is down, slow or
   * rate-limiting. Default: 30d.
   */
  readonly staleIfError?: string | undefined
  /** What is fetched before anybody asks for it. */
  readonly warm?: WarmInput | undefined
  /** What is logged, and how. */
  readonly log?: LogInput | undefined
}

interface ServerInput {
  /**
   * Address and port to listen on: 127.0.0.1:5000, [::1]:5000, or :5000 for every interface.
   * OCI_MIRROR_LISTEN and --listen override it. Default: 127.0.0.1:5000.
   */
  readonly listen?: string | number | undefined
  /** A path in front of everything under /v2, such as /mirror. Default: none. */
  readonly basePath?: string | undefined
  /**
   * The URL under which clients reach the mirror, if a proxy stands in front of it. Default: what
   * it listens on.
   */
  readonly publicUrl?: string | undefined
  /**
   * Other host names of the mirror, with the port unless it is 443. An image that is named after
   * the mirror itself belongs to the default upstream.
   */
  readonly names?: readonly string[] | undefined
  /**
   * Answer /v2/_catalog with the repositories that are held. Whoever may pull them may then list
   * them. Default: false.
   */
  readonly catalog?: boolean | undefined
}

interface AdminInput {
  /**
   * Address and port of the admin API, /metrics and /healthz; false for none. It asks for no password:
   * keep it on loopback, or behind something that asks. OCI_MIRROR_ADMIN_LISTEN overrides it. Default:
   * 127.0.0.1:5001.
   */
  readonly listen?: string | number | false | undefined
}

interface StorageInput {
  /**
   * Directory of all content, relative to the working directory. One process at a time.
   * OCI_MIRROR_DATA and --data override it. Default: ./data.
   */
  readonly dir?: string | undefined
  /**
   * Upper limit of what is stored. The least recently used goes first. Default: no limit but
   * minFree.
   */
  readonly maxSize?: string | number | undefined
  /** Room to leave on the volume, as a part of it (10%) or as a size. Default: 10%. */
  readonly minFree?: string | number | undefined
}

interface UpstreamInput {
  /**
   * When it is asked: "online", for what is not here or may have changed; "cache-first", for what is not here;
   * "offline", never. OCI_MIRROR_OFFLINE=1 and --offline make every upstream offline. Default: online.
   */
  readonly mode?: UpstreamMode | undefined
  /** What to dial. Default: https:// and the upstream's name. */
  readonly url?: string | undefined
  /**
   * Several URLs instead of one, asked in this order: a regional mirror, then the registry itself.
   */
  readonly endpoints?: readonly string[] | undefined
  /** Other names by which clients may ask for it: /v2/hub/library/alpine. */
  readonly aliases?: readonly string[] | undefined
  /**
   * Host names or ports (mirror.example.com, mirror.example.com:5000, :5000) whose requests all
   * belong to this upstream.
   */
  readonly hosts?: readonly string[] | undefined
  /**
   * Credentials for the upstream: username and password, a token, Docker's config.json or a credential
   * helper. Each of its endpoints is sent them. Needs access.
   */
  readonly auth?: AuthInput | undefined
  /**
   * Who may read what the credentials open. The only answer there is: "shared", every client of the
   * mirror.
   */
  readonly access?: 'shared' | undefined
  /** How tags are kept up to date. Content that is asked for by digest never changes. */
  readonly tags?: TagsInput | undefined
  /** PEM file of certificates to trust besides the system's, relative to the configuration file. */
  readonly ca?: string | undefined
  /** Do not verify the upstream's TLS certificate. Default: false. */
  readonly insecure?: boolean | undefined
  /**
   * Hosts of token servers that may be sent the credentials although they belong to another domain.
   */
  readonly tokenRealms?: readonly string[] | undefined
  /** Hosts that the upstream may redirect to although they have private addresses. */
  readonly redirectHosts?: readonly string[] | undefined
  /** Requests to the upstream at the same time. More wait in a queue. Default: 32. */
  readonly connections?: number | undefined
  /** What is done about an upstream that counts pulls, as Docker Hub does. */
  readonly rateLimit?: RateLimitInput | undefined
  /**
   * Fetch the next layers of an image while a client pulls it, some ahead of what it has asked for.
   * Default: true.
   */
  readonly prefetch?: boolean | undefined
}

interface RateLimitInput {
  /**
   * When fewer pulls than this are left, tags that are here are served unchecked, so that the rest is for
   * what is not here yet. 0 for never. Default: 10.
   */
  readonly reserve?: number | undefined
}

interface TagsInput {
  /** How long a tag is believed before upstream is asked whether it has moved. Default: 5m. */
  readonly ttl?: string | undefined
  /**
   * How long a client waits for that check before it is given the copy that is here; at most 15s.
   * Default: 2s.
   */
  readonly patience?: string | undefined
  /**
   * For how long after ttl the copy is served at once and checked in the background. Default: 0s.
   */
  readonly staleWhileRevalidate?: string | undefined
  /**
   * What becomes of a tag that upstream has deleted: "drop" it too, or "keep" serving it. Default:
   * drop.
   */
  readonly onGone?: 'drop' | 'keep' | undefined
  /** How long a tag is still served when upstream suddenly refuses the credentials. Default: 1h. */
  readonly authGrace?: string | undefined
  /**
   * Globs of tags that never move and so are never checked again: "v*" (the tag), "acme/**:v*"
   * (repository:tag), "library/**" (every tag of the repository).
   */
  readonly immutable?: readonly string[] | undefined
}

type AuthInput = LoginInput | TokenInput | DockerConfigInput | HelperInput

/** Each is the secret itself, `env('NAME')` or `file('path')`: see define-config.ts. */
interface LoginInput {
  /** User name: a text, env('NAME') or file('path'). */
  readonly username: Secret
  /** Password: a text, env('NAME') or file('path'). */
  readonly password: Secret
}

interface TokenInput {
  /** Sent as it is, Authorization: Bearer: a text, env('NAME') or file('path'). */
  readonly token: Secret
}

interface DockerConfigInput {
  /**
   * Docker's config.json with auths, credHelpers or credsStore, relative to the configuration file.
   * It is read anew for each use.
   */
  readonly dockerConfig: string
  /**
   * What a Docker file or helper calls the registry. Default: the upstream's name, and
   * https://index.docker.io/v1/ for docker.io.
   */
  readonly server?: string | undefined
}

interface HelperInput {
  /**
   * A credential helper: ecr-login runs docker-credential-ecr-login. What it says is used for ten
   * minutes, and asked for again when the upstream refuses it.
   */
  readonly helper: string
  /**
   * What a Docker file or helper calls the registry. Default: the upstream's name, and
   * https://index.docker.io/v1/ for docker.io.
   */
  readonly server?: string | undefined
}

interface WarmInput {
  /**
   * Which images of an index are wanted where a command or a job does not say: such as linux/amd64, or
   * "all" alone. Default: linux, and the architecture of this machine.
   */
  readonly platforms?: readonly string[] | undefined
  /** Whether signatures, SBOMs and attestations are fetched too. Default: true. */
  readonly referrers?: boolean | undefined
  /** What the running mirror warms by itself. Default: none. */
  readonly jobs?: readonly WarmJobInput[] | undefined
}

interface WarmJobInput {
  /** What the log, stats and metrics call it: letters, digits, "-" and "_". */
  readonly name: string
  /**
   * When: minute, hour, day of the month, month, day of the week ("0 2 * * *"), or @hourly, @daily,
   * @weekly, in the time zone of the machine. A job that still runs is not started again.
   */
  readonly schedule: string
  /**
   * What: image lists, compose files, Kubernetes YAML or folders of them, relative to the configuration
   * file and read at each run; "log:14d" for what was served in that time; or images.
   */
  readonly from: readonly string[]
  /** Instead of warm.platforms. */
  readonly platforms?: readonly string[] | undefined
  /** Whether nothing of it is evicted from then on. Default: false. */
  readonly pin?: boolean | undefined
}

interface LogInput {
  /** The least important that is logged. OCI_MIRROR_LOG_LEVEL overrides it. Default: info. */
  readonly level?: LogLevel | undefined
  /**
   * One JSON object per line, pretty for people, or auto: pretty on a terminal and JSON elsewhere.
   * Default: auto.
   */
  readonly format?: LogFormat | undefined
}
