/**
 * Whom something is fetched for: a client who waits for it, or a warming, which goes without rather than take
 * a client's place or evict what clients have lately used.
 */
export type Purpose = 'client' | 'warm'
