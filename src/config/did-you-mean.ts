import { distance } from 'fastest-levenshtein'

/** ` (did you mean "listen"?)`, or nothing if none of the candidates is near. */
export function didYouMean(word: string, candidates: Iterable<string>): string {
  const near = nearest(word, candidates)
  return near === undefined ? '' : ` (did you mean "${near}"?)`
}

/** The candidate that a slip of the finger, of letter case or of punctuation would turn into `word`. */
export function nearest(word: string, candidates: Iterable<string>): string | undefined {
  const target = simplify(word)
  let best: string | undefined
  let bestDistance = Math.max(1, Math.floor(target.length * 0.4)) + 1
  for (const candidate of candidates) {
    const other = simplify(candidate)
    // `warning` for `warn`: one that goes on after the other is near, however long.
    const isLonger = other.length > 2 && target.startsWith(other)
    const steps = isLonger ? 1 : distance(target, other)
    if (steps >= bestDistance) continue
    best = candidate
    bestDistance = steps
  }
  return best
}

function simplify(word: string): string {
  return word.slice(0, 100).toLowerCase().replaceAll(/[-_]/g, '')
}
