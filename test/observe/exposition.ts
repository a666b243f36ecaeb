/** One line of the exposition format that is no comment. */
interface Sample {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

export interface Family {
  readonly type: string
  readonly help: string
  readonly samples: readonly Sample[]
}

const TYPES = ['counter', 'gauge', 'histogram', 'summary']
const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/
const LABEL = /^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)/
const SAMPLE = /^([^{ ]+)(?:\{(.*)\})? (\S+)$/
/** What a family's samples may be called besides its own name. */
const SUFFIXES: Readonly<Record<string, readonly string[]>> = {
  counter: [''],
  gauge: [''],
  histogram: ['_bucket', '_sum', '_count'],
  summary: ['', '_sum', '_count'],
}

/**
 * Reads Prometheus' text format 0.0.4, and throws at what `promtool check metrics` complains of: unknown
 * types, samples outside their family, doubles, counters that are not called `_total`, buckets that
 * shrink.
 */
export function parseExposition(text: string): ReadonlyMap<string, Family> {
  if (!text.endsWith('\n')) throw new Error('the last line has no end')
  const families = new Map<string, { type: string; help: string; samples: Sample[] }>()
  const seen = new Set<string>()
  let current: string | undefined
  for (const line of text.split('\n').filter((one) => one !== '')) {
    const [, keyword, name = '', rest = ''] = /^# (HELP|TYPE) (\S+) (.*)$/.exec(line) ?? []
    if (keyword === 'HELP') {
      if (!NAME.test(name) || families.has(name)) throw new Error(`wrong family: ${line}`)
      families.set(name, { type: '', help: rest, samples: [] })
      current = name
      continue
    }
    const family = families.get(current ?? '')
    if (family === undefined || current === undefined) throw new Error(`no HELP before: ${line}`)
    if (keyword === 'TYPE') {
      if (name !== current || !TYPES.includes(rest)) throw new Error(`wrong type: ${line}`)
      family.type = rest
      continue
    }
    const sample = parseSample(line)
    const suffix = sample.name.startsWith(current) ? sample.name.slice(current.length) : '?'
    if (SUFFIXES[family.type]?.includes(suffix) !== true) throw new Error(`astray: ${line}`)
    const identity = seriesOf(sample.name, sample.labels)
    if (seen.has(identity)) throw new Error(`twice: ${line}`)
    seen.add(identity)
    family.samples.push(sample)
  }
  for (const [name, family] of families) check(name, family)
  return families
}

/** The same text for the same name and labels, in whatever order they are written. */
export function seriesOf(name: string, labels: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(labels).map(([label, value]) => `${label}=${JSON.stringify(value)}`)
  return `${name} ${pairs.toSorted((a, b) => a.localeCompare(b)).join(' ')}`
}

function parseSample(line: string): Sample {
  const [, name = '', labelText = '', valueText = ''] = SAMPLE.exec(line) ?? []
  const value =
    valueText === '+Inf' ? Infinity : valueText === 'Nan' ? Number.NaN : Number(valueText)
  const isNumber = valueText === 'Nan' || !Number.isNaN(value)
  if (!NAME.test(name) || valueText === '' || !isNumber) throw new Error(`no sample: ${line}`)
  const labels: Record<string, string> = {}
  for (let rest = labelText; rest !== '';) {
    const [whole = '', label = '', text = ''] = LABEL.exec(rest) ?? []
    if (whole === '' || label in labels) throw new Error(`wrong labels: ${line}`)
    labels[label] = text
    rest = rest.slice(whole.length)
  }
  return { name, labels, value }
}

function check(name: string, { type, help, samples }: Family): void {
  if (type === '' || help === '') throw new Error(`${name} has no type or no help`)
  if (type === 'counter' && !name.endsWith('_total')) throw new Error(`${name} is not _total`)
  if (type !== 'histogram') return
  let last: { readonly series: string; readonly value: number } | undefined
  for (const { labels, value } of samples.filter((one) => one.name.endsWith('_bucket'))) {
    const { le: _, ...others } = labels
    const series = JSON.stringify(others)
    if (last?.series === series && value < last.value) throw new Error(`${name} shrinks`)
    last = { series, value }
  }
}
