/**
 * What is wrong with a bundle: `refused` is none, or breaks a rule of the format; `newer` was written in a
 * format that this version does not know; `damaged` has bytes that are not those that its header names;
 * `truncated` ends too early.
 */
export type BundleProblem = 'refused' | 'newer' | 'damaged' | 'truncated'

/** `message` names the entry and what is wrong with it; whoever knows the file puts its name in front. */
export class BundleError extends Error {
  override readonly name = 'BundleError'
  readonly problem: BundleProblem

  constructor(problem: BundleProblem, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.problem = problem
  }
}
