import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { OCI_MANIFEST } from '../../src/oci/media-types.ts'
import { FakeRegistry } from '../support/fake-registry.ts'
import { buildImage } from '../support/images.ts'
import { rawRequest } from '../support/raw-request.ts'
import { TestMirror } from '../support/test-mirror.ts'

describe('the front', () => {
  const image = buildImage()
  let registry: FakeRegistry
  let mirror: TestMirror

  beforeEach(async () => {
    registry = await FakeRegistry.start()
    registry.add('library/app', image, 'v1')
    mirror = await TestMirror.start({ upstreams: { 'docker.io': { registry } }, basePath: '/base' })
  })
  afterEach(async () => {
    await mirror[Symbol.asyncDispose]()
    await registry.close()
  })

  it.each(['/base/v2/', '/base/v2', '/base/docker.io/v2/'])(
    'says at %s that it is a registry',
    async (path) => {
      for (const method of ['GET', 'HEAD']) {
        const response = await mirror.fetch(path, {
          method,
          headers: { authorization: 'Basic aHViOnNlY3JldA==' },
        })
        expect(response.status).toBe(200)
        expect(response.headers.get('docker-distribution-api-version')).toBe('registry/2.0')
        expect(await response.text()).toBe(method === 'GET' ? '{}' : '')
      }
    },
  )

  it('sends a manifest with everything that clients look for', async () => {
    const { digest, size, bytes } = image.manifest
    for (const method of ['HEAD', 'GET']) {
      const response = await mirror.fetch('/base/v2/library/app/manifests/v1', { method })
      expect(Object.fromEntries(response.headers)).toMatchObject({
        'content-type': OCI_MANIFEST,
        'content-length': String(size),
        'docker-content-digest': digest,
        'docker-distribution-api-version': 'registry/2.0',
        'oci-namespace': 'docker.io',
        etag: `"${digest}"`,
        'cache-status': expect.stringMatching(/^oci-mirror; /),
        'x-request-id': expect.any(String),
      })
      const body = Buffer.from(await response.arrayBuffer())
      expect(body.equals(method === 'GET' ? bytes : Buffer.alloc(0))).toBe(true)
    }
  })

  it('answers 304 to a client that has the manifest', async () => {
    const headers = { 'if-none-match': `"${image.manifest.digest}"` }
    const response = await mirror.fetch('/base/v2/library/app/manifests/v1', { headers })
    expect(response.status).toBe(304)
    expect(await response.text()).toBe('')
  })

  it('tells caches when a header has chosen the upstream', async () => {
    const path = '/base/v2/library/app/manifests/v1'
    const chosen = await mirror.head(path, { 'oci-namespace': 'docker.io' })
    expect(chosen.headers.get('vary')).toBe('OCI-Namespace, OCI-Ref-Name')
    expect((await mirror.head(path)).headers.get('vary')).toBeNull()
  })

  it('forwards neither ns nor any header of the client', async () => {
    const headers = {
      authorization: 'Bearer client-secret',
      cookie: 'a=b',
      'x-custom': 'c',
      'oci-namespace': 'docker.io',
      'accept-encoding': 'gzip',
    }
    await (
      await mirror.fetch('/base/v2/library/app/manifests/v1?ns=docker.io', { headers })
    ).arrayBuffer()
    const [asked] = registry.requests
    expect(asked?.query.size).toBe(0)
    expect(Object.keys(asked?.headers ?? {}).toSorted()).toEqual([
      'accept',
      'accept-encoding',
      'connection',
      'host',
      'user-agent',
    ])
    expect(asked?.headers['accept-encoding']).toBe('identity')
  })

  it('relays no header of upstream', async () => {
    registry.inject({
      kind: 'manifest',
      action: {
        headers: {
          'set-cookie': 'a=b',
          location: 'http://x/',
          link: '<x>; rel=next',
          'x-upstream': '1',
        },
      },
    })
    const response = await mirror.head('/base/v2/library/app/manifests/v1')
    for (const name of ['set-cookie', 'location', 'link', 'x-upstream', 'www-authenticate']) {
      expect(response.headers.get(name)).toBeNull()
    }
  })

  it('is alive and ready although upstream is down', async () => {
    await registry.stop()
    for (const path of ['/livez', '/readyz']) {
      const response = await mirror.fetch(path)
      expect([response.status, await response.text()]).toEqual([200, 'ok\n'])
    }
    await registry.restart()
  })

  it('serves one connection many times, after refusals of unknown names too', async () => {
    const statuses: number[] = []
    const { Agent, request } = await import('node:http')
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    const ports = new Set<number | undefined>()
    const missing = `/base/v2/library/app/blobs/sha256:${'ab'.repeat(32)}`
    for (const path of ['/base/v2/', missing, '/base/v2/library/app/manifests/v1', '/livez']) {
      await new Promise<void>((resolve, reject) => {
        const sent = request(`${mirror.url}${path}`, { agent }, (response) => {
          statuses.push(response.statusCode ?? 0)
          ports.add(response.socket.localPort)
          response.resume().on('end', resolve)
        })
        sent.on('error', reject).end()
      })
    }
    agent.destroy()
    expect(statuses).toEqual([200, 404, 200, 200])
    expect(ports.size).toBe(1)
  })

  it('records each request once, with what it was about', async () => {
    await (await mirror.fetch('/base/v2/library/app/manifests/v1')).arrayBuffer()
    await (await mirror.fetch('/base/v2/library/app/manifests/nothing')).arrayBuffer()
    await rawRequest({ port: mirror.port, target: '/base/v2/../x' })
    await expect.poll(() => mirror.records.length).toBe(3)
    const [hit, missing, refused] = mirror.records
    expect(hit).toMatchObject({
      method: 'GET',
      status: 200,
      bytes: image.manifest.size,
      isCut: false,
      subject: {
        upstream: 'docker.io',
        repository: 'library/app',
        reference: 'v1',
        outcome: 'miss',
      },
    })
    expect(missing).toMatchObject({ status: 404, subject: { reference: 'nothing' } })
    expect(refused).toMatchObject({ status: 400 })
  })
})
