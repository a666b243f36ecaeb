import type { HeldAttachment } from '../../core/airgap/held-attachments.ts'

/** cosign's own, the bundle of sigstore's newer clients, and notation. */
const SIGNATURE_TYPES: ReadonlySet<string> = new Set([
  'application/vnd.dev.cosign.artifact.sig.v1+json',
  'application/vnd.dev.sigstore.bundle.v0.3+json',
  'application/vnd.cncf.notary.signature',
])

export function isSignature({ tag, artifactType = '' }: HeldAttachment): boolean {
  return tag?.endsWith('.sig') === true || SIGNATURE_TYPES.has(artifactType)
}
