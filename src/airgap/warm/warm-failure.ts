/** Why an image cannot be warmed, as a sentence: its registry has been asked, and trying again would not help. */
export class WarmFailure extends Error {
  override readonly name = 'WarmFailure'
}

/** It was not tried: the upstream's last pulls are kept for clients, or there is no room left. */
export class Spared extends Error {
  override readonly name = 'Spared'
}
