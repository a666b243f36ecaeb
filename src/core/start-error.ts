/** The mirror cannot start. `message` is the one line that the operator is shown: what, why, what to do. */
export class StartError extends Error {
  override readonly name = 'StartError'
}
