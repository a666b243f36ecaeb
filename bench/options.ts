import { parseArgs } from 'node:util'

export interface BenchOptions {
  readonly rounds: number
  /** Names, in the order of the lists that they are chosen from. */
  readonly works: readonly string[]
  readonly peers: readonly string[]
  /** A file for the report, besides standard output. */
  readonly output?: string
  /** Keeps the report in bench/results, under this name. */
  readonly save?: string
}

/** What there is to choose from. */
interface Choices {
  readonly works: readonly string[]
  readonly peers: readonly string[]
}

export const USAGE =
  'npm run bench -- [--rounds 3] [--work NAME,…] [--peer NAME,…] [--output FILE] [--save SHORT-NAME]'

/** Throws an error for people: what was wrong, and what there is. */
export function readOptions(args: readonly string[], choices: Choices): BenchOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      rounds: { type: 'string', default: '3' },
      work: { type: 'string', multiple: true, default: [] },
      peer: { type: 'string', multiple: true, default: [] },
      output: { type: 'string' },
      save: { type: 'string' },
    },
  })
  const rounds = Number(values.rounds)
  if (!Number.isInteger(rounds) || rounds < 1) {
    throw new Error(`--rounds has to be a whole number above 0, and is "${values.rounds}"`)
  }
  const { output, save } = values
  if (save !== undefined && !/^[a-z0-9]+(-[a-z0-9]+)*$/.test(save)) {
    throw new Error(`--save takes a short name such as "two-cores", and not "${save}"`)
  }
  return {
    rounds,
    works: choose('work', values.work, choices.works),
    peers: choose('peer', values.peer, choices.peers),
    ...(output !== undefined && { output }),
    ...(save !== undefined && { save }),
  }
}

/** All, unless some are named. */
function choose(kind: string, given: readonly string[], all: readonly string[]): readonly string[] {
  const wanted = given.flatMap((names) => names.split(','))
  const unknown = wanted.find((name) => !all.includes(name))
  if (unknown !== undefined) {
    throw new Error(`There is no ${kind} "${unknown}". There are: ${all.join(', ')}`)
  }
  return wanted.length === 0 ? all : all.filter((name) => wanted.includes(name))
}
