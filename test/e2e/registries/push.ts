import type { TestBlob, TestImage, TestIndex } from '../../support/images.ts'

interface Target {
  readonly url: string
  readonly repository: string
  /** A header that allows pull and push. */
  readonly authorization?: string
}

/** distribution-spec "Push": blobs in one request each, then children, then the manifest under its tag. */
export async function pushImage(
  target: Target,
  image: TestImage | TestIndex,
  tag: string = image.manifest.digest,
): Promise<void> {
  if ('images' in image) for (const child of image.images) await pushImage(target, child)
  else for (const blob of [image.config, ...image.layers]) await pushBlob(target, blob)
  const { mediaType, bytes } = image.manifest
  await send(target, 'PUT', `manifests/${tag}`, mediaType, bytes)
}

async function pushBlob(target: Target, { digest, bytes }: TestBlob): Promise<void> {
  const started = await send(target, 'POST', 'blobs/uploads/')
  const location = new URL(started.headers.get('location') ?? '', target.url)
  location.searchParams.set('digest', digest)
  await send(target, 'PUT', location, 'application/octet-stream', bytes)
}

async function send(
  target: Target,
  method: string,
  place: string | URL,
  contentType?: string,
  body?: Uint8Array,
): Promise<Response> {
  const url = place instanceof URL ? place : `${target.url}/v2/${target.repository}/${place}`
  const response = await fetch(url, {
    method,
    headers: {
      ...(target.authorization === undefined ? {} : { authorization: target.authorization }),
      ...(contentType === undefined ? {} : { 'content-type': contentType }),
    },
    ...(body === undefined ? {} : { body: Buffer.from(body) }),
  })
  const text = await response.text()
  if (!response.ok) throw new Error(`${method} ${String(url)}: ${response.status} ${text}`)
  return response
}
