import { basename } from 'node:path'
import type { ExportReport } from '../airgap/export/export-report.ts'
import { count, formatBytes, formatTime } from './human.ts'
import { table } from './table.ts'

/** `places`: where the lists name what. */
export function exportLines(
  report: ExportReport,
  places: ReadonlyMap<string, string>,
): readonly string[] {
  const rows = [
    ...haveRows(report),
    ...incompleteRows(report, places),
    writeRow(report),
    ...doneRows(report),
  ]
  return table([{ title: '' }, { title: '' }], rows)
}

function haveRows({ have }: ExportReport): readonly string[][] {
  return have.map(({ name, blobs, created }) => [
    'have',
    `${basename(name)}: ${count(blobs, 'blob')} (${formatTime(created)})`,
  ])
}

function incompleteRows(
  { incomplete }: ExportReport,
  places: ReadonlyMap<string, string>,
): readonly string[][] {
  return incomplete.map(({ image, reason }) => {
    const from = places.get(image)
    return ['left out', `${image}: ${reason}${from === undefined ? '' : ` (${from})`}`]
  })
}

function writeRow({ dryRun, images, carried, full, have, files }: ExportReport): readonly string[] {
  const named = images.filter(({ subject }) => subject === undefined)
  const attached = images.length - named.length
  const verb = dryRun ? 'would write' : 'write'
  if (images.length === 0) {
    const why =
      have.length > 0 && full.images > 0
        ? 'the other side has all of it'
        : 'there is none of it here'
    return [verb, `nothing: ${why}`]
  }
  const changed = have.length === 0 ? '' : ` of ${count(full.images, 'image')} changed`
  const what = have.length === 0 ? count(named.length, 'image') : `${named.length}${changed}`
  const parts = files.length > 1 ? `, ${count(files.length, 'part')}` : ''
  const rest = have.length === 0 ? '' : ` (full would be ${formatBytes(full.bytes)})`
  const more =
    attached === 0 ? '' : `, ${count(attached, 'signature or the like', 'signatures and the like')}`
  return [
    verb,
    `${what}${more}, ${count(carried.blobs, 'blob')}, ${formatBytes(carried.bytes)}${rest}${parts}`,
  ]
}

function doneRows({ dryRun, files, id, header, requires }: ExportReport): readonly string[][] {
  if (dryRun || files.length === 0) return []
  const written = files.map(({ path, bytes }, at) => [
    at === 0 ? 'done' : '',
    `${path === '-' ? 'standard output' : basename(path)}  ${formatBytes(bytes)}`,
  ])
  const beside = header && `header ${basename(header.path)} (${formatBytes(header.bytes)})`
  const told = [id && `id ${id}`, beside].filter((text) => text !== undefined).join('  ')
  const needs =
    requires === 0 ? [] : [['requires', `${count(requires, 'blob')} that the other side has`]]
  return [...written, ...(told === '' ? [] : [['', told]]), ...needs]
}
