import { styleText } from 'node:util'
import type { Config } from '../config/config.ts'
import { displayPath } from '../config/load-config.ts'
import { CLIENT_NAMES } from './client-config.ts'
import { clientLines } from './client-lines.ts'

export interface BannerFacts {
  readonly version: string
  /** Where it listens, and where clients find it. */
  readonly url: string
  readonly clientUrl: string
  /** Absent where there is no admin listener. */
  readonly adminUrl?: string | undefined
  readonly cwd: string
  readonly hasColor: boolean
}

const INDENT = '  '
const LABEL_WIDTH = 13
const TEXT_WIDTH = 64

/** What a person needs to know who has just started the mirror, and what to copy from there. */
export function banner(config: Config, facts: BannerFacts): string {
  const paint = (format: 'bold' | 'dim' | 'cyan', text: string) =>
    facts.hasColor ? styleText(format, text, { validateStream: false }) : text
  const row = (label: string, text: string, format?: 'cyan' | 'dim') =>
    `${INDENT}${paint('bold', label.padEnd(LABEL_WIDTH))}${format ? paint(format, text) : text}`
  const { source, upstreams } = config
  const isOffline = [...upstreams.values()].every(({ mode }) => mode === 'offline')
  const count = upstreams.size === 1 ? 'a registry' : `${upstreams.size} registries`
  const what = isOffline
    ? `offline, with what is here of ${count}`
    : `a pull-through cache in front of ${count}`
  const rest = isOffline
    ? 'what is not here cannot be had'
    : 'whatever the mirror cannot give, it gets from the registry itself'
  const lines = [
    '',
    `${INDENT}${paint('bold', `oci-mirror ${facts.version}`)}: ${what}`,
    '',
    row('listens on', facts.url, 'cyan'),
    ...(facts.clientUrl === facts.url ? [] : [row('for clients', facts.clientUrl, 'cyan')]),
    ...(facts.adminUrl === undefined ? [] : [row('admin', facts.adminUrl, 'cyan')]),
    row('data', config.storage.dir),
    row('config', source === undefined ? 'embedded defaults' : displayPath(source, facts.cwd)),
    ...wrap(listUpstreams(config, isOffline)).map((text, i) =>
      row(i === 0 ? 'upstreams' : '', text),
    ),
    '',
    `${INDENT}Point a client at it; ${rest}:`,
    '',
    ...clientLines(config, facts.clientUrl).flatMap(({ client, file, lines: content }) => [
      row(client, `# ${file}`, 'dim'),
      ...content.map((text) => row('', text)),
      '',
    ]),
    `${INDENT}The whole files: oci-mirror client-config ${CLIENT_NAMES.join('|')}`,
    '',
  ]
  return `${lines.map((line) => line.trimEnd()).join('\n')}\n`
}

/** Each with its mode, where it is not the usual one or that of all. */
function listUpstreams(
  { upstreams, defaultUpstream }: Config,
  isOffline: boolean,
): readonly string[] {
  return [...upstreams.values()].map(({ name, mode }) => {
    const marks = [
      ...(name === defaultUpstream ? ['default'] : []),
      ...(mode === 'online' || isOffline ? [] : [mode]),
    ]
    return marks.length === 0 ? name : `${name} (${marks.join(', ')})`
  })
}

/** Comma-separated, in lines of at most TEXT_WIDTH characters. */
function wrap(words: readonly string[]): readonly string[] {
  const lines: string[] = []
  let line = ''
  for (const [index, word] of words.entries()) {
    const item = index < words.length - 1 ? `${word},` : word
    if (line !== '' && line.length + 1 + item.length > TEXT_WIDTH) {
      lines.push(line)
      line = item
    } else {
      line = line === '' ? item : `${line} ${item}`
    }
  }
  return [...lines, line]
}
