import { parseArgs } from 'node:util'

interface TortureOptions {
  readonly kills: number
  /** The same one gives the same rounds. */
  readonly seed: number
}

/** Of the command line: `--kills N --seed N`. Throws for fewer kills than `least`. */
export function readOptions(defaultKills: number, least: number): TortureOptions {
  const { values } = parseArgs({
    options: {
      kills: { type: 'string', default: String(defaultKills) },
      seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    },
  })
  const kills = Number(values.kills)
  const seed = Number(values.seed)
  if (!Number.isInteger(kills) || kills < least || !Number.isInteger(seed)) {
    throw new Error(
      `torture: --kills and --seed have to be whole numbers, and kills at least ${least}`,
    )
  }
  return { kills, seed }
}
