import type { Command } from 'commander'
import type { ImageNode, ImageReport } from '../core/maintenance/reports.ts'
import type { Context } from './context.ts'
import { formatAgo, formatBytes, formatTime, shortDigest } from './human.ts'
import type { OutputOptions } from './output-option.ts'
import { outputOption, say } from './output-option.ts'
import { table } from './table.ts'
import { changeRows } from './tags.ts'
import { withOperations } from './with-operations.ts'

const CHANGES_SHOWN = 10

export function addShow(program: Command, context: Context): void {
  program
    .command('show')
    .description('show an image: its manifests and blobs, present and missing, and its history')
    .argument('<image>', 'such as alpine, ghcr.io/org/image:1.2, quay.io/org/image@sha256:…')
    .addOption(outputOption())
    .action(async (image: string, options: OutputOptions, command: Command) => {
      await withOperations(context, command, async ({ maintenance }) => {
        const report = await maintenance.show(image)
        say(context, options, report, () => imageLines(report, Date.now()))
      })
    })
}

function imageLines(report: ImageReport, now: number): readonly string[] {
  const { image, tree, checkedAt, imported, pinned, held, history } = report
  const missing = report.blobs - report.storedBlobs
  const here = `${report.storedBlobs} of ${report.blobs} blobs, ${formatBytes(report.storedBytes)} of ${formatBytes(report.bytes)}`
  const marks = [pinned && 'pinned: never evicted', held && 'held: upstream cannot move it']
  const facts = [
    ['digest', tree.digest],
    ['here', missing === 0 ? `${here}: complete` : here],
    ...(checkedAt === undefined
      ? []
      : [['checked', `${formatTime(checkedAt)}, ${formatAgo(checkedAt, now)}`]]),
    ...(imported === undefined ? [] : [['imported', importedText(imported)]]),
    ...marks.filter((mark) => mark !== false).map((mark) => ['', mark]),
  ]
  const shown = history.slice(0, CHANGES_SHOWN)
  return [
    image,
    ...table([{ title: '' }, { title: '' }], facts).map((line) => `  ${line}`),
    '',
    ...table(
      [{ title: '' }, { title: '' }, { title: '', align: 'right' }, { title: '' }],
      treeRows(tree, '', ''),
    ),
    ...(shown.length === 0 ? [] : ['', 'history']),
    ...table([{ title: '' }, { title: '' }, { title: '' }], changeRows(shown, now)).map(
      (line) => `  ${line}`,
    ),
    ...(history.length > CHANGES_SHOWN ? [`  … all of it: oci-mirror tags ${image}`] : []),
  ]
}

function importedText({ at, name, id }: NonNullable<ImageReport['imported']>): string {
  const which = id === undefined ? '' : `, ${shortDigest(id)}…`
  return `${formatTime(at)}, from ${name}${which}: upstream cannot drop it`
}

function treeRows(node: ImageNode, lead: string, below: string): string[][] {
  const state = node.stored ? '' : 'missing'
  const rows = [[`${lead}${kindOf(node)}`, node.digest, formatBytes(node.size), state]]
  for (const [index, child] of node.children.entries()) {
    const isLast = index === node.children.length - 1
    rows.push(
      ...treeRows(child, `${below}${isLast ? '└─ ' : '├─ '}`, `${below}${isLast ? '   ' : '│  '}`),
    )
  }
  return rows
}

function kindOf({ mediaType, platform }: ImageNode): string {
  if (platform !== undefined) return platform
  if (/index|manifest\.list/.test(mediaType)) return 'index'
  if (/manifest/.test(mediaType)) return 'manifest'
  if (/config|container\.image/.test(mediaType)) return 'config'
  return /layer|rootfs/.test(mediaType) ? 'layer' : mediaType || 'blob'
}
