import type { ExportApi, ExportPlan, ExportRequest } from '../../core/airgap/export-api.ts'
import type { Clock } from '../../core/ports.ts'
import type { BundleHeader } from '../bundle/bundle-header.ts'
import { formatBundleHeader } from '../bundle/bundle-header.ts'
import type { Sink } from './bundle-files.ts'
import { BundleFiles } from './bundle-files.ts'
import { planDockerArchive } from './docker-archive.ts'
import type { ExportedImage, ExportProgress, ExportReport } from './export-report.ts'
import { joinHave } from './have.ts'
import type { RefName } from './image-index.ts'
import type { PlannedTar } from './make-bundle.ts'
import { makeBundle } from './make-bundle.ts'
import { readHave } from './read-have.ts'
import { subtractHave } from './subtract-have.ts'
import { hashPieces, writePlannedTar } from './write-planned-tar.ts'

export interface ExportOptions {
  /** A path, or where the bytes go at once. */
  readonly out: string | Sink
  readonly format: 'bundle' | 'docker'
  readonly refName: RefName
  /** Bytes that no part reaches. */
  readonly split?: number
  readonly have: readonly string[]
  /** Files of an earlier export are replaced. */
  readonly force: boolean
  readonly dryRun: boolean
}

export interface ExportTools {
  readonly exports: ExportApi
  readonly clock: Clock
  /** `oci-mirror 0.1.0` */
  readonly tool: string
  readonly onProgress: (progress: ExportProgress) => void
}

/** What there is to write, whatever the format. */
interface Work {
  readonly tars: readonly PlannedTar[]
  readonly header?: BundleHeader
  readonly report: Omit<ExportReport, 'dryRun' | 'files'>
}

/**
 * Carries images out of the mirror into one file or several. They appear under their names when all of them
 * are complete and on disk. Throws StartError, MaintenanceError, and BundleError for what is damaged here.
 */
export async function exportBundle(
  request: ExportRequest,
  options: ExportOptions,
  tools: ExportTools,
  signal: AbortSignal,
): Promise<ExportReport> {
  const { out, force, dryRun } = options
  const files = typeof out === 'string' ? new BundleFiles(out) : undefined
  if (!dryRun) await files?.refuseExisting(force)
  const { tars, header, report } = await prepare(request, options, tools, signal)
  const named = tars.map((tar, at) => ({
    tar,
    path: files?.tar(options.split === undefined ? undefined : at + 1, tars.length) ?? '-',
  }))
  const sizes = named.map(({ path, tar: { bytes } }) => ({ path, bytes }))
  if (dryRun || report.images.length === 0) return { ...report, dryRun, files: dryRun ? sizes : [] }
  const total = sizes.reduce((sum, { bytes }) => sum + bytes, 0)
  const meter = createMeter(report.carried, tools.onProgress)
  if (files === undefined) {
    const { out: sink } = options
    for (const { tar } of named) {
      if (typeof sink === 'function') await writePlannedTar(tar, tools.exports, sink, meter, signal)
    }
    return { ...report, dryRun, files: sizes }
  }
  await files.refuseFull(total)
  try {
    for (const { path, tar } of named) {
      await files.write(path, (sink) => writePlannedTar(tar, tools.exports, sink, meter, signal))
    }
    const beside = header && { path: files.header, bytes: formatBundleHeader(header) }
    if (beside !== undefined) await files.write(beside.path, (sink) => sink(beside.bytes))
    await files.publish()
    const size = beside && { path: beside.path, bytes: beside.bytes.length }
    return { ...report, dryRun, files: sizes, ...(size && { header: size }) }
  } finally {
    await files.discard()
  }
}

async function prepare(
  request: ExportRequest,
  options: ExportOptions,
  tools: ExportTools,
  signal: AbortSignal,
): Promise<Work> {
  const { exports } = tools
  const sources = await Promise.all(options.have.map((source) => readHave(source, signal)))
  const plan = await exports.plan({ ...request, dryRun: options.dryRun })
  if (options.format === 'docker') return prepareDocker(plan, exports, signal)
  const cargo = subtractHave(plan, joinHave(sources.toSorted((a, b) => a.created - b.created)))
  const { header, tars } = await makeBundle(
    cargo,
    {
      created: tools.clock.now(),
      tool: tools.tool,
      refName: options.refName,
      ...(options.split !== undefined && { split: options.split }),
    },
    (_, pieces) => (options.dryRun ? Promise.resolve([]) : hashPieces(pieces, exports, signal)),
  )
  const bytes = cargo.blobs.reduce((sum, { size }) => sum + size, 0)
  const report = {
    platforms: plan.platforms,
    have: sources.map(({ name, created, blobs }) => ({ name, created, blobs: blobs.size })),
    images: cargo.images.map(toExported),
    carried: { blobs: cargo.blobs.length, bytes },
    full: { images: countImages(plan), blobs: cargo.full.blobs, bytes: cargo.full.bytes },
    requires: cargo.requires.length,
    incomplete: plan.incomplete,
  }
  // What a dry run has not hashed has no id.
  return { tars, header, report: { ...report, ...(!options.dryRun && { id: header.id }) } }
}

async function prepareDocker(
  plan: ExportPlan,
  exports: ExportApi,
  signal: AbortSignal,
): Promise<Work> {
  const { tar, images, refused } = await planDockerArchive(plan, exports, signal)
  const bytes = tar.entries.reduce((sum, { size }) => sum + size, 0)
  const amount = { blobs: tar.entries.length, bytes }
  const report = {
    platforms: plan.platforms,
    have: [],
    images: images.map(toExported),
    carried: amount,
    full: { images: countImages(plan), ...amount },
    requires: 0,
    incomplete: [...plan.incomplete, ...refused.map((one) => ({ ...one, missing: [] }))],
  }
  return { tars: [tar], report }
}

function toExported({
  image,
  manifest,
  platforms,
  subject,
}: Pick<
  ExportPlan['images'][number],
  'image' | 'manifest' | 'platforms' | 'subject'
>): ExportedImage {
  return { image, digest: manifest.digest, platforms, ...(subject && { subject }) }
}

/** Signatures and the like are not counted. */
function countImages({ images }: ExportPlan): number {
  return images.filter(({ subject }) => subject === undefined).length
}

function createMeter(
  total: ExportReport['carried'],
  onProgress: ExportTools['onProgress'],
): (bytes: number) => void {
  let done = 0
  return (bytes) => {
    done += bytes
    onProgress({ bytes: { done, total: total.bytes } })
  }
}
