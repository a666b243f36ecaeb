import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parse } from 'yaml'

const ROOT = join(import.meta.dirname, '../..')

interface Instruction {
  /** `FROM`, `RUN`, … */
  readonly name: string
  readonly text: string
}

/** The instructions of each stage, the last of which becomes the image; what is before the first `FROM` is no stage. */
export async function readDockerfile(): Promise<readonly (readonly Instruction[])[]> {
  const text = await readFile(join(ROOT, 'Dockerfile'), 'utf8')
  const stages: Instruction[][] = []
  for (const line of withoutComments(text)
    .replaceAll(/\\\n\s*/g, '')
    .split('\n')) {
    const [, name = '', rest = ''] = /^([A-Z]+)\s+(.*)$/.exec(line) ?? []
    if (name === 'FROM') stages.push([])
    if (name !== '') stages.at(-1)?.push({ name, text: rest })
  }
  return stages
}

/** `NAME=value` pairs of the stage's ENV or LABEL. */
export function pairsOf(stage: readonly Instruction[], name: string): Record<string, string> {
  const texts = stage.filter((instruction) => instruction.name === name).map(({ text }) => text)
  const pairs = texts.join(' ').matchAll(/([\w.]+)=(?:"([^"]*)"|(\S*))/g)
  return Object.fromEntries(
    [...pairs].map(([, key = '', quoted, plain]) => [key, quoted ?? plain ?? '']),
  )
}

/** What the stage says last with this instruction. */
export function lastOf(stage: readonly Instruction[], name: string): string {
  const found = stage.findLast((instruction) => instruction.name === name)
  if (found === undefined) throw new Error(`the Dockerfile's last stage has no ${name}`)
  return found.text
}

/** The paths that the stage copies from the build's own folder. */
export function copiedPaths(stage: readonly Instruction[]): readonly string[] {
  return stage
    .filter(({ name, text }) => name === 'COPY' && !text.startsWith('--from='))
    .flatMap(({ text }) => text.split(' ').slice(0, -1))
}

interface ComposeService {
  readonly volumes: readonly string[]
  readonly tmpfs: readonly string[]
  readonly read_only: boolean
  readonly cap_drop: readonly string[]
  readonly security_opt: readonly string[]
}

interface ComposeFile {
  readonly services: Readonly<Record<'oci-mirror', ComposeService>>
}

export async function readCompose(): Promise<ComposeFile> {
  return parse(await readFile(join(ROOT, 'docker-compose.yml'), 'utf8')) as ComposeFile
}

function withoutComments(text: string): string {
  return text.replaceAll(/^#.*\n/gm, '')
}
