import type { Command } from 'commander'
import type { ListQuery, MaintenanceApi } from '../core/maintenance/maintenance-api.ts'
import type {
  ListedBlob,
  ListedImage,
  ListedRepository,
  Page,
} from '../core/maintenance/reports.ts'
import type { Context } from './context.ts'
import { count, formatAgo, formatBytes, shortDigest } from './human.ts'
import type { OutputOptions } from './output-option.ts'
import { outputOption, say } from './output-option.ts'
import { table } from './table.ts'
import { withOperations } from './with-operations.ts'

interface Options extends OutputOptions {
  readonly repositories?: true
  readonly blobs?: true
}

export function addLs(program: Command, context: Context): void {
  program
    .command('ls')
    .description('list the images that are here, or those whose full name matches')
    .argument('[glob]', 'such as alpine, ghcr.io/org/*, *:latest')
    .option('-r, --repositories', 'list repositories instead')
    .option('-b, --blobs', 'list blobs instead, by digest')
    .addOption(outputOption())
    .action(async (glob: string | undefined, options: Options, command: Command) => {
      if (options.blobs === true && (glob !== undefined || options.repositories === true)) {
        command.error('error: --blobs lists all blobs: use it without a glob and --repositories')
      }
      await withOperations(context, command, ({ maintenance }) =>
        list(maintenance, glob === undefined ? {} : { glob }, options, context),
      )
    })
}

async function list(
  maintenance: MaintenanceApi,
  query: ListQuery,
  options: Options,
  context: Context,
): Promise<void> {
  const now = Date.now()
  if (options.blobs === true) {
    const blobs = await collect((after) => maintenance.blobs({ ...after }))
    say(context, options, blobs, () => blobLines(blobs, now))
  } else if (options.repositories === true) {
    const found = await collect((after) => maintenance.repositories({ ...query, ...after }))
    say(context, options, found, () => repositoryLines(found, query))
  } else {
    const images = await collect((after) => maintenance.images({ ...query, ...after }))
    say(context, options, images, () => imageLines(images, query, now))
  }
}

async function collect<T>(
  page: (after: { readonly after?: string }) => Promise<Page<T>>,
): Promise<readonly T[]> {
  const items: T[] = []
  let next: string | undefined
  do {
    const found = await page(next === undefined ? {} : { after: next })
    items.push(...found.items)
    next = found.next
  } while (next !== undefined)
  return items
}

function imageLines(
  images: readonly ListedImage[],
  query: ListQuery,
  now: number,
): readonly string[] {
  if (images.length === 0) return [nothing(query)]
  const rows = images.map((image) => [
    image.image,
    shortDigest(image.digest),
    formatBytes(image.storedBytes),
    `${image.storedBlobs}/${image.blobs}`,
    image.checkedAt === undefined ? '-' : formatAgo(image.checkedAt, now),
    [image.pinned && 'pinned', image.held && 'held'].filter(Boolean).join(', '),
  ])
  const columns = [
    { title: 'IMAGE' },
    { title: 'DIGEST' },
    { title: 'HERE', align: 'right' },
    { title: 'BLOBS', align: 'right' },
    { title: 'CHECKED' },
    { title: '' },
  ] as const
  return [...table(columns, rows), '', count(images.length, 'image')]
}

function repositoryLines(
  repositories: readonly ListedRepository[],
  query: ListQuery,
): readonly string[] {
  if (repositories.length === 0) return [nothing(query)]
  const rows = repositories.map(({ repository, tags, manifests, blobs, bytes }) => [
    repository,
    String(tags),
    String(manifests),
    String(blobs),
    formatBytes(bytes),
  ])
  const columns = [
    { title: 'REPOSITORY' },
    { title: 'TAGS', align: 'right' },
    { title: 'MANIFESTS', align: 'right' },
    { title: 'BLOBS', align: 'right' },
    { title: 'HERE', align: 'right' },
  ] as const
  return [...table(columns, rows), '', count(repositories.length, 'repository', 'repositories')]
}

function blobLines(blobs: readonly ListedBlob[], now: number): readonly string[] {
  if (blobs.length === 0) return [nothing({})]
  const bytes = blobs.reduce((sum, { size }) => sum + size, 0)
  const rows = blobs.map(({ digest, size, usedAt }) => [
    digest,
    formatBytes(size),
    formatAgo(usedAt, now),
  ])
  const columns = [{ title: 'BLOB' }, { title: 'SIZE', align: 'right' }, { title: 'USED' }] as const
  return [...table(columns, rows), '', `${count(blobs.length, 'blob')}, ${formatBytes(bytes)}`]
}

function nothing({ glob }: ListQuery): string {
  return glob === undefined
    ? 'Nothing is here yet: pull an image through the mirror.'
    : `Nothing here matches ${glob}: globs are compared with full names such as docker.io/library/alpine:3.`
}
