/**
 * When a registry is asked: `online` for what is not here or may have changed, `cache-first` for what is not
 * here, `offline` never.
 */
export const UPSTREAM_MODES = ['online', 'cache-first', 'offline'] as const
export type UpstreamMode = (typeof UPSTREAM_MODES)[number]
