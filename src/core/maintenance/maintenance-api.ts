import type {
  GcReport,
  HoldReport,
  ImageReport,
  ListedBlob,
  ListedChange,
  ListedImage,
  ListedRepository,
  Page,
  PinReport,
  RemovalReport,
  StatsReport,
  VerifyProgress,
  VerifyReport,
} from './reports.ts'

export interface ListQuery {
  /** Compared with full names; blobs have none. */
  readonly glob?: string
  readonly after?: string
}

export interface ImagesRequest {
  readonly references: readonly string[]
  /** A glob may mean several. */
  readonly all: boolean
}

export interface VerifyImages {
  /** Everything if there are none. */
  readonly references: readonly string[]
  readonly repair: boolean
  /** Bytes per second. */
  readonly rate?: number
  readonly restart: boolean
}

/**
 * What operators do, with references as they write them. One implementation does it, another asks the
 * running mirror to. All of it throws MaintenanceError, and then nothing has been done.
 */
export interface MaintenanceApi {
  stats(): Promise<StatsReport>
  images(query: ListQuery): Promise<Page<ListedImage>>
  repositories(query: ListQuery): Promise<Page<ListedRepository>>
  blobs(query: ListQuery): Promise<Page<ListedBlob>>
  show(reference: string): Promise<ImageReport>
  /** Newest first; of the whole repository if the reference has no tag. */
  history(reference: string): Promise<readonly ListedChange[]>
  remove(request: ImagesRequest & { readonly dryRun: boolean }): Promise<RemovalReport>
  pin(request: ImagesRequest): Promise<PinReport>
  unpin(request: ImagesRequest): Promise<PinReport>
  hold(reference: string): Promise<HoldReport>
  release(reference: string): Promise<HoldReport>
  gc(dryRun: boolean): Promise<GcReport>
  verify(
    request: VerifyImages,
    onProgress: (progress: VerifyProgress) => void,
    signal: AbortSignal,
  ): Promise<VerifyReport>
}
