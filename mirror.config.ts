import { defineConfig } from 'oci-mirror'

/**
 * The configuration of oci-mirror, with every key it has. What is not commented out is the default:
 * this file says the same as no file at all. Copy it, keep the lines you change, delete the rest.
 *
 *   Durations   '30s', '5m', '1h30m', '30d'
 *   Sizes       '200GB' (10^9), '512MiB' (2^20), or a number of bytes
 *   Secrets     env('NAME') or file('/path'): import them from 'oci-mirror' too
 *
 * `npm run -s oci-mirror -- config check` tells whether it is right, `… config print` what it comes to,
 * and `… config schema` prints a JSON Schema for those who prefer mirror.config.yaml or .json.
 */
export default defineConfig({
  server: {
    // ':5000' listens on every interface. The mirror asks nobody for a password: open it to networks,
    // not to the world. OCI_MIRROR_LISTEN and --listen override this.
    listen: '127.0.0.1:5000',

    // Where clients find the mirror when a proxy that speaks TLS stands in front of it.
    // publicUrl: 'https://mirror.example.com',

    // Other names by which clients reach it.
    // names: ['mirror.lan:5000'],

    // A path before everything: clients then use http://mirror.lan:5000/mirror.
    // basePath: '/mirror',

    // Whether /v2/_catalog lists the repositories that are held.
    catalog: false,
  },

  admin: {
    // The admin API, for `oci-mirror ls`, `gc` and so on, with /metrics and /healthz; `false` for none. It
    // asks for no password: keep it on loopback. OCI_MIRROR_ADMIN_LISTEN overrides this.
    listen: '127.0.0.1:5001',
  },

  storage: {
    // Relative to the working directory. OCI_MIRROR_DATA and --data override this.
    dir: './data',

    // Whatever was used least recently goes first when there is more than this …
    // maxSize: '200GB',

    // … or when less than this is left on the volume: a part of it, or a size.
    minFree: '10%',
  },

  // Who is meant when a client names no registry, as with Docker's registry-mirrors.
  // `false` refuses such requests.
  defaultUpstream: 'docker.io',

  // The registries that are mirrored, by the name that stands in front of image names. The mirror
  // contacts no others, whatever a client asks for. A list of your own replaces this one.
  upstreams: {
    'docker.io': {
      // When it is asked. 'online': for what is not here, and for tags that may have moved. 'cache-first': for
      // what is not here. 'offline': never; OCI_MIRROR_OFFLINE=1 and --offline make every registry so.
      mode: 'online',

      // What to dial. Most registries answer at https:// and their name; Docker Hub does not.
      url: 'https://registry-1.docker.io',

      // Or several, asked in this order.
      // endpoints: ['https://hub.eu.example.com', 'https://registry-1.docker.io'],

      // Credentials are given to this registry only. Everyone who reaches the mirror may then pull
      // whatever they open, which `access: 'shared'` confirms.
      // auth: { username: 'robot', password: file('/run/secrets/docker-hub') },
      // auth: { token: env('HUB_TOKEN') },
      // auth: { dockerConfig: '/root/.docker/config.json' }, // what `docker login` has written
      // auth: { helper: 'ecr-login' }, // runs docker-credential-ecr-login
      // access: 'shared',

      // Shorter names: mirror.lan:5000/hub/library/alpine.
      // aliases: ['hub'],

      // Host names of the mirror that stand for this registry alone.
      // hosts: ['hub.mirror.lan'],

      tags: {
        // A tag is believed for this long. Then upstream is asked whether it has moved, by one HEAD,
        // which Docker Hub does not count as a pull.
        ttl: '5m',

        // A client waits this long for the answer before it is given the copy that is here.
        patience: '2s',

        // For this long after ttl the copy is served at once, and checked behind the client's back.
        staleWhileRevalidate: '0s',

        // What happens to a tag that was deleted upstream: 'drop' or 'keep'.
        onGone: 'drop',

        // Credentials expire by accident: tags outlive a refusal (401, 403) for this long.
        authGrace: '1h',

        // Tags that never move are never checked again. '*' stops at a '/', and '**' does not.
        // immutable: ['v*', 'library/alpine:3.*', 'acme/**:release-*'],
      },

      // How many requests it may get at the same time. Others wait their turn.
      connections: 32,

      // Docker Hub counts pulls. When fewer than this are left, tags that are here are served unchecked,
      // so that the rest is for what is not here yet. 0 for never.
      rateLimit: { reserve: 10 },

      // While a client pulls an image, the next layers are fetched ahead of it: at most 16 and 128 MiB, which
      // is also what somebody costs who reads only the configuration of an image that is not here.
      prefetch: true,

      // For a registry of your own:
      // ca: './corp-ca.pem', // certificates to trust besides the system's; relative to this file
      // insecure: true, // do not verify its certificate at all
      // tokenRealms: ['auth.example.net'], // other hosts that may be sent the credentials
      // redirectHosts: ['minio.lan:9000'], // private addresses that it may redirect to
    },
    'ghcr.io': {},
    'quay.io': {},
    'registry.k8s.io': {},
    'gcr.io': {},
    'mcr.microsoft.com': {},
    'public.ecr.aws': {},
    // 'registry.corp.example:5000': { url: 'http://10.0.0.5:5000' },
  },

  // While an upstream is down, slow or rate-limiting, the last known tags are served this much longer.
  staleIfError: '30d',

  // What is fetched before anybody asks for it, by `oci-mirror warm` or by a job.
  warm: {
    // Which images of an index. Default: linux, and the architecture of this machine.
    // platforms: ['linux/amd64', 'linux/arm64'],

    // Signatures, SBOMs and attestations too.
    referrers: true,

    // jobs: [
    //   { name: 'nightly', schedule: '0 2 * * *', from: ['./images.txt', 'log:14d'], pin: true },
    // ],
  },

  log: {
    // trace, debug, info, warn, error, fatal or silent. OCI_MIRROR_LOG_LEVEL overrides this.
    level: 'info',

    // 'json', 'pretty', or 'auto': pretty on a terminal, JSON elsewhere.
    format: 'auto',
  },
})
