import { setImmediate } from 'node:timers/promises'
import { decodeText, NoText } from './decode-text.ts'
import { findInDocument } from './find-in-document.ts'
import type { Source } from './find-in-document.ts'
import type { Findings } from './findings.ts'
import { parseJsonDocuments } from './parse-json.ts'
import { parseYamlDocuments } from './parse-yaml.ts'
import type { Form } from './sniff.ts'
import { looksLikeList, sniffForm, withoutComment } from './sniff.ts'
import { UnreadableDocument } from './tree.ts'

const MEBI = 1024 * 1024
/** Characters to tell the form by. */
const HEAD = 64 * 1024
/** Characters. A YAML parser takes a hundred times as much memory, and a second for each MiB. */
const LIMITS: Readonly<Record<Form, number>> = {
  yaml: 16 * MEBI,
  json: 128 * MEBI,
  list: 64 * MEBI,
}
const MAX_LINE = 4096
/** More than a list of images has; each line after them would cost as much. */
const MAX_BAD_LINES = 500

const TOO_MANY_BAD = `${MAX_BAD_LINES} of its lines are no images: the rest was not read`

/** Reads one file, whatever it is. Everything that is wrong with it becomes a problem. */
export async function readSource(
  source: Source,
  chunks: AsyncIterable<Uint8Array>,
  findings: Findings,
  moreVariables: () => Promise<Source['variables']>,
): Promise<void> {
  const before = findings.mentions
  const pieces = decodeText(chunks)
  try {
    const { head, isWhole } = await readHead(pieces)
    const form = sniffForm(head)
    if (form !== 'list') {
      const text = isWhole ? head : await readRest(head, pieces, LIMITS[form])
      const variables = text.includes('services') ? await moreVariables() : source.variables
      await readDocuments(text, form, { ...source, variables }, findings)
    } else if (source.isNamed || looksLikeList(head) === 'yes') {
      await readLines(head, pieces, source.file, findings)
    } else if (looksLikeList(head) === 'partly') {
      findings.note(
        `${source.file} was not read, because few of its lines are images: name it if it is a list`,
      )
    }
  } catch (error) {
    if (error instanceof NoText || error instanceof TooLarge) {
      findings.problem({ file: source.file }, error.message)
      return
    }
    throw error
  } finally {
    await pieces.return(undefined)
  }
  if (source.isNamed && findings.mentions === before) {
    findings.note(`${source.file}: no image is named in it`)
  }
}

class TooLarge extends Error {
  constructor(limit: number) {
    super(`it is larger than ${limit / MEBI} MiB: split it, or name fewer files`)
  }
}

async function readHead(pieces: AsyncGenerator<string>) {
  let head = ''
  while (head.length < HEAD) {
    const { value, done } = await pieces.next()
    if (done === true) return { head, isWhole: true }
    head += value
  }
  return { head, isWhole: false }
}

async function readRest(head: string, pieces: AsyncIterable<string>, limit: number) {
  let text = head
  for await (const piece of pieces) {
    text += piece
    if (text.length > limit) throw new TooLarge(limit)
  }
  return text
}

/** Line by line, so that a list of any length takes little memory. */
async function readLines(
  head: string,
  pieces: AsyncIterable<string>,
  file: string,
  findings: Findings,
): Promise<void> {
  let line = 0
  let bad = 0
  let rest = ''
  let length = 0
  const take = (piece: string) => {
    length += piece.length
    if (length > LIMITS.list) throw new TooLarge(LIMITS.list)
    const lines = (rest + piece).split('\n')
    rest = lines.pop() ?? ''
    for (const text of lines) {
      line += 1
      if (!readLine(text, line, file, findings)) bad += 1
      if (bad >= MAX_BAD_LINES) throw new NoText(TOO_MANY_BAD)
    }
    if (rest.length > MAX_LINE) throw new NoText(`its line ${line + 1} is too long for a list`)
  }
  take(head)
  for await (const piece of pieces) take(piece)
  readLine(rest, line + 1, file, findings)
}

/** False for what is no image. */
function readLine(text: string, line: number, file: string, findings: Findings): boolean {
  const written = withoutComment(text)
  return written === '' || findings.listed(written, { file, line })
}

async function readDocuments(
  text: string,
  form: Form,
  source: Source,
  findings: Findings,
): Promise<void> {
  if (form === 'json') return readJson(text, source, findings)
  for (const document of parseYamlDocuments(text)) {
    if (document instanceof UnreadableDocument) explain(document, text, source, findings)
    else findInDocument(document, source, findings)
    // A mirror that warms by a schedule serves meanwhile.
    await setImmediate()
  }
}

async function readJson(text: string, source: Source, findings: Findings): Promise<void> {
  try {
    for (const document of parseJsonDocuments(text)) {
      findInDocument(document, source, findings)
      await setImmediate()
    }
  } catch (error) {
    if (!(error instanceof UnreadableDocument)) throw error
    // A flow of YAML begins in the same way, but for the quotes.
    const isYaml = text.length <= LIMITS.yaml && /^[{[][\s{[]*[A-Za-z_]/.test(text.trimStart())
    if (isYaml) await readDocuments(text, 'yaml', source, findings)
    else explain(error, text, source, findings)
  }
}

/** A file of a directory that is unreadable, and has nothing to do with images, is nobody's concern. */
function explain(fault: UnreadableDocument, text: string, source: Source, findings: Findings) {
  const { file, isNamed } = source
  if (!isNamed && !/image/i.test(text)) return
  if (text.includes('{{')) {
    const advice = 'render it first, as in `helm template CHART | oci-mirror images -`'
    if (isNamed) findings.problem({ file }, `it is a template: ${advice}`)
    else findings.note(`${file} is a template and was not read: ${advice}`)
  } else {
    const { line, message } = fault
    findings.problem({ file, ...(line !== undefined && { line }) }, message)
  }
}
