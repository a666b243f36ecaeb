import { looksLikeNamedImage } from './image-pattern.ts'

/** What a file is, by how it begins. */
export type Form = 'list' | 'yaml' | 'json'

/** A key, the mark of a list, a document's start, a directive; a tag has no space after its colon. */
const YAML_LINE = /^(?:---|%YAML|-(?:\s|$)|(?:"[^"]*"|'[^']*'|[^\s"'#:{[][^#:]*):(?:\s|$)|\{\{)/
const IPV6_REGISTRY = /^\[[0-9a-f:.]+\](?::\d+)?\//i
const SAMPLE = 20

/** By the first line that is not empty and no comment, and not by the file's name. */
export function sniffForm(head: string): Form {
  const [first = ''] = meaningfulLines(head)
  if (YAML_LINE.test(first)) return 'yaml'
  return /^[{[]/.test(first) && !IPV6_REGISTRY.test(first) ? 'json' : 'list'
}

/** Whether a text that nobody called a list of images is one: by half of its first lines, or by some. */
export function looksLikeList(head: string): 'yes' | 'partly' | 'no' {
  const lines = meaningfulLines(head).slice(0, SAMPLE)
  const images = lines.filter((line) => looksLikeNamedImage(line))
  if (images.length === 0) return 'no'
  return images.length * 2 >= lines.length ? 'yes' : 'partly'
}

function meaningfulLines(head: string): readonly string[] {
  return head
    .split('\n')
    .map((line) => withoutComment(line))
    .filter((line) => line !== '')
}

/** `#` begins a comment at the start of a line, or after a space. */
export function withoutComment(line: string): string {
  return line.replace(/(?:^|\s)#.*$/s, '').trim()
}
