/**
 * What each key means, for the JSON Schema; `*` stands for any upstream. The same sentences are the
 * comments in config-input.ts, where the editors of TypeScript files show them; a test compares them.
 */
export const DESCRIPTIONS: ReadonlyMap<string, string> = new Map([
  ['server', 'Where the mirror listens, and what it is called.'],
  [
    'server.listen',
    'Address and port to listen on: 127.0.0.1:5000, [::1]:5000, or :5000 for every interface. OCI_MIRROR_LISTEN and --listen override it. Default: 127.0.0.1:5000.',
  ],
  ['server.basePath', 'A path in front of everything under /v2, such as /mirror. Default: none.'],
  [
    'server.publicUrl',
    'The URL under which clients reach the mirror, if a proxy stands in front of it. Default: what it listens on.',
  ],
  [
    'server.names',
    'Other host names of the mirror, with the port unless it is 443. An image that is named after the mirror itself belongs to the default upstream.',
  ],
  [
    'server.catalog',
    'Answer /v2/_catalog with the repositories that are held. Whoever may pull them may then list them. Default: false.',
  ],
  ['admin', 'The second listener, for those who look after the mirror.'],
  [
    'admin.listen',
    'Address and port of the admin API, /metrics and /healthz; false for none. It asks for no password: keep it on loopback, or behind something that asks. OCI_MIRROR_ADMIN_LISTEN overrides it. Default: 127.0.0.1:5001.',
  ],
  ['storage', 'Where content is kept, and how much of it.'],
  [
    'storage.dir',
    'Directory of all content, relative to the working directory. One process at a time. OCI_MIRROR_DATA and --data override it. Default: ./data.',
  ],
  [
    'storage.maxSize',
    'Upper limit of what is stored. The least recently used goes first. Default: no limit but minFree.',
  ],
  [
    'storage.minFree',
    'Room to leave on the volume, as a part of it (10%) or as a size. Default: 10%.',
  ],
  [
    'defaultUpstream',
    "The upstream of requests that name none, as those of Docker's registry-mirrors do. False for none: such requests are answered 404. Default: docker.io, if it is configured.",
  ],
  [
    'upstreams',
    'The registries that are mirrored, by the host that stands in image names. Replaces the default set as a whole: the mirror dials nothing that is not listed.',
  ],
  [
    'upstreams.*.mode',
    'When it is asked: "online", for what is not here or may have changed; "cache-first", for what is not here; "offline", never. OCI_MIRROR_OFFLINE=1 and --offline make every upstream offline. Default: online.',
  ],
  ['upstreams.*.url', "What to dial. Default: https:// and the upstream's name."],
  [
    'upstreams.*.endpoints',
    'Several URLs instead of one, asked in this order: a regional mirror, then the registry itself.',
  ],
  ['upstreams.*.aliases', 'Other names by which clients may ask for it: /v2/hub/library/alpine.'],
  [
    'upstreams.*.hosts',
    'Host names or ports (mirror.example.com, mirror.example.com:5000, :5000) whose requests all belong to this upstream.',
  ],
  [
    'upstreams.*.auth',
    "Credentials for the upstream: username and password, a token, Docker's config.json or a credential helper. Each of its endpoints is sent them. Needs access.",
  ],
  ['upstreams.*.auth.username', "User name: a text, env('NAME') or file('path')."],
  ['upstreams.*.auth.password', "Password: a text, env('NAME') or file('path')."],
  [
    'upstreams.*.auth.token',
    "Sent as it is, Authorization: Bearer: a text, env('NAME') or file('path').",
  ],
  [
    'upstreams.*.auth.dockerConfig',
    "Docker's config.json with auths, credHelpers or credsStore, relative to the configuration file. It is read anew for each use.",
  ],
  [
    'upstreams.*.auth.helper',
    'A credential helper: ecr-login runs docker-credential-ecr-login. What it says is used for ten minutes, and asked for again when the upstream refuses it.',
  ],
  [
    'upstreams.*.auth.server',
    "What a Docker file or helper calls the registry. Default: the upstream's name, and https://index.docker.io/v1/ for docker.io.",
  ],
  [
    'upstreams.*.access',
    'Who may read what the credentials open. The only answer there is: "shared", every client of the mirror.',
  ],
  [
    'upstreams.*.tags',
    'How tags are kept up to date. Content that is asked for by digest never changes.',
  ],
  [
    'upstreams.*.tags.ttl',
    'How long a tag is believed before upstream is asked whether it has moved. Default: 5m.',
  ],
  [
    'upstreams.*.tags.patience',
    'How long a client waits for that check before it is given the copy that is here; at most 15s. Default: 2s.',
  ],
  [
    'upstreams.*.tags.staleWhileRevalidate',
    'For how long after ttl the copy is served at once and checked in the background. Default: 0s.',
  ],
  [
    'upstreams.*.tags.onGone',
    'What becomes of a tag that upstream has deleted: "drop" it too, or "keep" serving it. Default: drop.',
  ],
  [
    'upstreams.*.tags.authGrace',
    'How long a tag is still served when upstream suddenly refuses the credentials. Default: 1h.',
  ],
  [
    'upstreams.*.tags.immutable',
    'Globs of tags that never move and so are never checked again: "v*" (the tag), "acme/**:v*" (repository:tag), "library/**" (every tag of the repository).',
  ],
  [
    'upstreams.*.ca',
    "PEM file of certificates to trust besides the system's, relative to the configuration file.",
  ],
  ['upstreams.*.insecure', "Do not verify the upstream's TLS certificate. Default: false."],
  [
    'upstreams.*.tokenRealms',
    'Hosts of token servers that may be sent the credentials although they belong to another domain.',
  ],
  [
    'upstreams.*.redirectHosts',
    'Hosts that the upstream may redirect to although they have private addresses.',
  ],
  [
    'upstreams.*.connections',
    'Requests to the upstream at the same time. More wait in a queue. Default: 32.',
  ],
  [
    'upstreams.*.rateLimit',
    'What is done about an upstream that counts pulls, as Docker Hub does.',
  ],
  [
    'upstreams.*.rateLimit.reserve',
    'When fewer pulls than this are left, tags that are here are served unchecked, so that the rest is for what is not here yet. 0 for never. Default: 10.',
  ],
  [
    'upstreams.*.prefetch',
    'Fetch the next layers of an image while a client pulls it, some ahead of what it has asked for. Default: true.',
  ],
  [
    'staleIfError',
    'How long after its time to live a tag may still be served while its upstream is down, slow or rate-limiting. Default: 30d.',
  ],
  ['warm', 'What is fetched before anybody asks for it.'],
  [
    'warm.platforms',
    'Which images of an index are wanted where a command or a job does not say: such as linux/amd64, or "all" alone. Default: linux, and the architecture of this machine.',
  ],
  ['warm.referrers', 'Whether signatures, SBOMs and attestations are fetched too. Default: true.'],
  ['warm.jobs', 'What the running mirror warms by itself. Default: none.'],
  ['warm.jobs.*.name', 'What the log, stats and metrics call it: letters, digits, "-" and "_".'],
  [
    'warm.jobs.*.schedule',
    'When: minute, hour, day of the month, month, day of the week ("0 2 * * *"), or @hourly, @daily, @weekly, in the time zone of the machine. A job that still runs is not started again.',
  ],
  [
    'warm.jobs.*.from',
    'What: image lists, compose files, Kubernetes YAML or folders of them, relative to the configuration file and read at each run; "log:14d" for what was served in that time; or images.',
  ],
  ['warm.jobs.*.platforms', 'Instead of warm.platforms.'],
  ['warm.jobs.*.pin', 'Whether nothing of it is evicted from then on. Default: false.'],
  ['log', 'What is logged, and how.'],
  [
    'log.level',
    'The least important that is logged. OCI_MIRROR_LOG_LEVEL overrides it. Default: info.',
  ],
  [
    'log.format',
    'One JSON object per line, pretty for people, or auto: pretty on a terminal and JSON elsewhere. Default: auto.',
  ],
])
