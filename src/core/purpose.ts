/**
 * Whom something is fetched for: a client who waits for it, or a warming, which goes without rather than take
 * a client's place or evict what clients have lately used. Fetching ahead of a client is a warming too.
 */
export type Purpose = 'client' | 'warm'
