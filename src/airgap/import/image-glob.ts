/** Whether the full name matches: `*` stands for anything, `?` for one character. In time that does not explode. */
export function matchesGlob(glob: string, name: string): boolean {
  let at = 0
  let from = 0
  let star = -1
  let resume = 0
  while (at < name.length) {
    if (glob[from] === '*') {
      star = from
      resume = at
      from += 1
    } else if (glob[from] === '?' || glob[from] === name[at]) {
      from += 1
      at += 1
    } else if (star >= 0) {
      resume += 1
      from = star + 1
      at = resume
    } else {
      return false
    }
  }
  while (glob[from] === '*') from += 1
  return from === glob.length
}
