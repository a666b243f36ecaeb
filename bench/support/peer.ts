/** Where a peer is started. */
export interface PeerPlace {
  /** Empty, and its own: its store, its configuration, its log. */
  readonly dir: string
  /** The registry that it mirrors: `http://127.0.0.1:6000`. */
  readonly upstream: string
}

/** A mirror that can be measured, ours among them. */
export interface Peer {
  readonly name: string
  /** As it says of itself. */
  readonly version: string
  /** The works that it takes part in; all of them without this. */
  readonly works?: readonly string[]
  /** Rejects if it does not answer. */
  start(place: PeerPlace): Promise<RunningPeer>
}

export interface RunningPeer {
  /** `http://127.0.0.1:6001`: `<url>/v2/<repository>/…` is the upstream's repository of that name. */
  readonly url: string
  /** Of all of its processes. */
  usage(): Promise<Usage>
  /** Ends it with SIGTERM and waits. Its directory stays, for another start. */
  stop(): Promise<void>
  /** The same with SIGKILL, for all of its processes. */
  kill(): Promise<void>
}

/** What a program has used since it was started. */
export interface Usage {
  readonly cpuSeconds: number
  /** Bytes that were resident at most. */
  readonly peakBytes: number
  /** Bytes that are resident now. */
  readonly residentBytes: number
}
