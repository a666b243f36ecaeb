import { fullName } from './full-name.ts'
import type {
  FoundImage,
  ImageLists,
  ListProblem,
  MaybeImage,
  Occurrence,
  Place,
} from './image-lists.ts'
import { formatPlace, formatProblem, printable } from './image-lists.ts'

/** More than a fleet runs; a file with more is something else. */
const MAX_IMAGES = 200_000
const MAX_PROBLEMS = 1000
const MAX_NOTES = 1000
const MAX_OCCURRENCES = 1000

/** What a policy allows: `registry.example/*`. It names no image, and is no mistake. */
const PATTERN = /[*!|]/
/** Of the shell, compose, Kubernetes, Helm, people and Zarf. */
const PLACEHOLDER = /\$\w|\$[({]|\{\{|<[\w .-]+>|###/

interface Entry {
  readonly name: string
  readonly isName: boolean
  readonly occurrences: Occurrence[]
}

/** What has been found so far, each image once, however it is written and wherever it stands. */
export class Findings {
  readonly #entries = new Map<string, Entry>()
  readonly #problems = new Map<string, ListProblem>()
  readonly #notes = new Set<string>()
  #mentions = 0

  /** In a known place: what is no reference there is a problem, or a doubt if it has a variable in it. */
  found(written: string, place: Place): void {
    const text = written.trim()
    const name = fullName(text)
    if (name !== undefined) this.#add(name, true, place)
    else if (PATTERN.test(text)) this.#mentions += 1
    else if (PLACEHOLDER.test(text)) this.unresolved(text, place, 'it is not filled in')
    else this.problem(place, notAnImage(text))
  }

  /** In a list of images, where nobody fills anything in. False: it is none. */
  listed(written: string, place: Place): boolean {
    const name = fullName(written)
    if (name === undefined) this.problem(place, notAnImage(written))
    else this.#add(name, true, place)
    return name !== undefined
  }

  /** `written` has to be a reference; other texts are left out. */
  maybe(written: string, place: Place, doubt: string): void {
    const name = fullName(written)
    if (name !== undefined) this.#add(name, true, { ...place, doubt })
  }

  /** It stands for an image, but nobody can tell here for which. */
  unresolved(written: string, place: Place, doubt: string): void {
    this.#add(printable(written.slice(0, 300)), false, { ...place, doubt })
  }

  problem(place: Place, message: string): void {
    this.#mentions += 1
    const problem = { ...place, message }
    // By its text, because a file may be named twice.
    if (this.#problems.size < MAX_PROBLEMS) this.#problems.set(formatProblem(problem), problem)
    else this.#isOver(MAX_PROBLEMS, 'problems')
  }

  note(text: string): void {
    if (this.#notes.size < MAX_NOTES) this.#notes.add(printable(text))
    else this.#isOver(MAX_NOTES, 'notes')
  }

  #isOver(limit: number, what: string): void {
    this.#notes.add(`there are more than ${limit} ${what}: the rest is not listed`)
  }

  /** How often something was found, or went wrong. */
  get mentions(): number {
    return this.#mentions
  }

  lists(): ImageLists {
    const images: FoundImage[] = []
    const maybe: MaybeImage[] = []
    const entries = [...this.#entries.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1))
    for (const { name, isName, occurrences } of entries) {
      const sure = occurrences.find(({ doubt }) => doubt === undefined)
      const [first = { file: '' }] = occurrences
      const image = { reference: name, from: formatPlace(sure ?? first), occurrences }
      if (sure !== undefined) images.push(image)
      else maybe.push({ ...image, isName, reason: first.doubt ?? '' })
    }
    return { images, maybe, problems: [...this.#problems.values()], notes: [...this.#notes] }
  }

  #add(name: string, isName: boolean, occurrence: Occurrence): void {
    this.#mentions += 1
    const entry = this.#entries.get(name)
    if (entry === undefined && this.#entries.size >= MAX_IMAGES) {
      this.#isOver(MAX_IMAGES, 'images')
    } else if (entry === undefined) {
      this.#entries.set(name, { name, isName, occurrences: [occurrence] })
    } else if (entry.occurrences.length < MAX_OCCURRENCES) {
      entry.occurrences.push(occurrence)
    } else if (occurrence.doubt === undefined) {
      // One that makes it a found image is never the one too many.
      entry.occurrences[0] = occurrence
    }
  }
}

function notAnImage(text: string): string {
  const quoted = JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text)
  return `${quoted} is no image: expected [REGISTRY/]NAME[:TAG][@DIGEST]`
}
