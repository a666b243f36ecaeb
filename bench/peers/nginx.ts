import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { execFile } from 'node:child_process'
import { ensureDebianPackage } from '../../test/e2e/support/debian-packages.ts'
import { answers, freePort } from '../../test/e2e/support/programs.ts'
import type { Peer, PeerPlace, RunningPeer } from '../support/peer.ts'
import { startServer } from '../support/server.ts'

export const NGINX = 'nginx'
export const NGINX_COPYING = 'nginx-copying'

/** As Debian configures it: files go from the kernel's cache to the socket, and nginx never sees them. */
export async function findNginx(): Promise<Peer> {
  return { name: NGINX, version: await findVersion(), start: (place) => start(place, 'on') }
}

/** As it is without a configuration, and as every mirror is that has no such call: it reads, and writes. */
export async function findCopyingNginx(): Promise<Peer> {
  return {
    name: NGINX_COPYING,
    version: `${await findVersion()}, with sendfile off`,
    start: (place) => start(place, 'off'),
    // Where bytes are all that counts.
    works: ['warm-blob'],
  }
}

async function findVersion(): Promise<string> {
  await ensureDebianPackage('nginx')
  // It tells its version on standard error.
  const { stderr } = await promisify(execFile)('nginx', ['-v'])
  return stderr.trim().split('/').at(-1) ?? ''
}

async function start({ dir, upstream }: PeerPlace, sendfile: 'on' | 'off'): Promise<RunningPeer> {
  const host = `127.0.0.1:${await freePort()}`
  const file = join(dir, 'nginx.conf')
  await mkdir(join(dir, 'cache'), { recursive: true })
  await writeFile(file, configuration(dir, host, new URL(upstream).host, sendfile))
  const server = await startServer('nginx', ['-c', file, '-p', dir], {
    log: join(dir, 'log'),
    isReady: () => answers(`http://${host}/v2/`, [200]),
  })
  return { ...server, url: `http://${host}` }
}

/** One serving process, one download for all clients of a file, and tags that are fresh as long as ours. */
function configuration(dir: string, host: string, upstream: string, sendfile: string): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
  return `
daemon off;
user root;
worker_processes 1;
worker_rlimit_nofile 16384;
pid ${dir}/nginx.pid;
error_log ${dir}/error.log error;
events { worker_connections 8192; }
http {
  access_log ${dir}/access.log;
  ${temporary.map((name) => `${name}_temp_path ${dir}/${name};`).join('\n  ')}
  sendfile ${sendfile};
  tcp_nopush ${sendfile};
  keepalive_requests 1000000;
  proxy_cache_path ${dir}/cache levels=1:2 keys_zone=bench:64m inactive=1d max_size=50g
    use_temp_path=off;
  upstream registry {
    server ${upstream};
    keepalive 32;
  }
  server {
    listen ${host} backlog=1024;
    location / {
      proxy_pass http://registry;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host ${upstream};
      proxy_cache bench;
      proxy_cache_key $uri;
      proxy_cache_valid 200 5m;
      proxy_cache_lock on;
      proxy_cache_lock_age 10m;
      proxy_cache_lock_timeout 10m;
      proxy_buffer_size 64k;
      proxy_buffers 16 64k;
    }
  }
}
`
}
