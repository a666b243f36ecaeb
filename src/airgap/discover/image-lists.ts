import type { ListedReference } from '../../core/airgap/warm-api.ts'

/** Where something is written. */
export interface Place {
  /** As the person named it, or below what they named. */
  readonly file: string
  readonly line?: number
  /** `spec.template.spec.containers[0].image` */
  readonly path?: string
}

export interface Occurrence extends Place {
  /** Why it does not make the image a found one; absent in a known place. */
  readonly doubt?: string
}

/** An image that an input names in a place that is known to hold images. */
export interface FoundImage extends ListedReference {
  /** The full name, with `:latest` where there is neither tag nor digest. */
  readonly reference: string
  readonly from: string
  readonly occurrences: readonly Occurrence[]
}

/** A text that may be an image, or an image that may not be needed. */
export interface MaybeImage extends FoundImage {
  /** False for what cannot be asked for: a variable without a value, a pattern for tags. */
  readonly isName: boolean
  readonly reason: string
}

export interface ListProblem extends Place {
  readonly message: string
}

export interface ImageLists {
  /** Each once, by name. */
  readonly images: readonly FoundImage[]
  readonly maybe: readonly MaybeImage[]
  /** What could not be read, or is no reference where one has to be. */
  readonly problems: readonly ListProblem[]
  /** What was left out, although it is in order, and what to do if it should not be. */
  readonly notes: readonly string[]
}

/** For a terminal, which would obey what somebody has put into a name. */
export function printable(text: string): string {
  return text.replaceAll(/\p{Cc}+/gu, '?')
}

/** `deploy/api.yaml:31` */
export function formatPlace({ file, line }: Place): string {
  return printable(line === undefined ? file : `${file}:${line}`)
}

/** `deploy/api.yaml:31: spec.containers[0].image: "Nginx" is no image` */
export function formatProblem(problem: ListProblem): string {
  const { path = '', message } = problem
  return printable(`${formatPlace(problem)}: ${path === '' ? '' : `${path}: `}${message}`)
}
