import type { Digest } from './digest.ts'
import { digestAlgorithm, digestHex, parseDigest } from './digest.ts'
import type { Tag } from './reference.ts'
import { referrersTag } from './referrers.ts'

/** cosign's "simple signing" layout keeps what it attaches under tags of its own, one for each kind. */
const SUFFIXES = ['sig', 'att', 'sbom'] as const
const FORM = /^(sha256|sha512)-([0-9a-f]{64,128})(?:\.(?:sig|att|sbom))?$/

/** The tags under which something may be attached to the manifest: cosign's, and the list of its referrers. */
export function attachmentTags(subject: Digest): readonly Tag[] {
  const stem = `${digestAlgorithm(subject)}-${digestHex(subject)}`
  return [referrersTag(subject), ...SUFFIXES.map((suffix) => `${stem}.${suffix}` as Tag)]
}

/** What a tag of that kind is attached to; `undefined` for every other tag. */
export function subjectOfTag(tag: Tag): Digest | undefined {
  const [, algorithm, hex] = FORM.exec(tag) ?? []
  return algorithm === undefined ? undefined : parseDigest(`${algorithm}:${hex}`)
}
