/**
 * Why something was not done, whole: `invalid` is no reference at all, `unknown` is not here, `ambiguous`
 * means several, `refused` would break what was promised, `busy` has to wait for another one.
 */
export type MaintenanceProblem = 'invalid' | 'unknown' | 'ambiguous' | 'refused' | 'busy'

/** `message` is the sentence that the operator is shown: what was asked, why not, what to do. */
export class MaintenanceError extends Error {
  override readonly name = 'MaintenanceError'
  readonly problem: MaintenanceProblem

  constructor(problem: MaintenanceProblem, message: string) {
    super(message)
    this.problem = problem
  }
}
