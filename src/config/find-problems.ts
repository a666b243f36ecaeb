import { fileProblems } from './file-problems.ts'
import { hostProblems } from './host-problems.ts'
import { nameProblems } from './name-problems.ts'
import type { Problem } from './problem.ts'
import { schemaProblems } from './schema-problems.ts'
import type { SecretPlace } from './secret.ts'
import { upstreamProblems } from './upstream-problems.ts'

/**
 * Everything that is wrong, at once. Each check reads the raw input for itself, so that a fault which
 * one of them finds keeps no other from looking.
 */
export async function findProblems(
  input: unknown,
  place: SecretPlace,
): Promise<readonly Problem[]> {
  return [
    ...schemaProblems(input),
    ...nameProblems(input),
    ...hostProblems(input),
    ...upstreamProblems(input),
    ...(await fileProblems(input, place)),
  ]
}
