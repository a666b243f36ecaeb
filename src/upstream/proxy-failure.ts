/**
 * The proxy passed nothing on; `cause`, if there is one, is why we could not even ask. A class of its own also
 * because undici connects again for ever when a connector fails with an error of its own kind.
 */
export class ProxyFailure extends Error {
  override readonly name = 'ProxyFailure'
  /** The same request can have no other answer. A password that is sent again and again locks its user out. */
  readonly isFinal: boolean

  constructor(message: string, options: { cause?: unknown; isFinal?: boolean } = {}) {
    super(message, { cause: options.cause })
    this.isFinal = options.isFinal === true
  }
}

/** Never with the credentials, whatever the proxy says of them. */
export function proxyRefusal(status: number): ProxyFailure {
  return status === 407
    ? new ProxyFailure('the proxy wants another user name and password than its URL has (407)', {
        isFinal: true,
      })
    : new ProxyFailure(`the proxy made no connection (it answered ${status})`)
}
