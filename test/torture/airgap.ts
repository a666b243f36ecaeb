import { makeTempDir } from '../support/temp-dir.ts'
import { runImportRounds } from './import-rounds.ts'
import { readOptions } from './options.ts'
import { randomFrom } from './random.ts'
import { runWarmRounds } from './warm-rounds.ts'

/**
 * Kills warmings and imports at random moments, with the mirror or without it, and looks each time at what is
 * left: `npm run torture:airgap -- --kills 50 --seed 1`. Half of the kills are each one's. The exit code is 1
 * if anything was wrong.
 */
const { kills, seed } = readOptions(50, 2)

await using dir = await makeTempDir()
const began = Date.now()
const random = randomFrom(seed)
process.stdout.write(`torture: ${kills} kills, seed ${seed}\n`)
const imported = await runImportRounds({
  kills: Math.ceil(kills / 2),
  dir: dir.path,
  random,
  onRound: (done, so) => progress('import', done, so.wrong.length),
})
const warmed = await runWarmRounds({
  kills: Math.floor(kills / 2),
  dir: dir.path,
  random,
  onRound: (done, so) => progress('warm', done, so.wrong.length),
})
const wrong = [...imported.wrong, ...warmed.wrong]
const seconds = Math.round((Date.now() - began) / 1000)
const lines = [
  `${imported.kills + warmed.kills} kills in ${seconds} s; ${imported.finished} imports and ${warmed.finished} warmings were quicker`,
  `import: ${imported.kept} times a blob had to stay as it was, ${imported.files} files hashed, ${imported.rows} rows compared, ${imported.served} parts served with no upstream`,
  `warm: ${warmed.kept} times a blob had to stay undownloaded, ${warmed.files} files hashed, ${warmed.rows} rows compared, ${warmed.served} parts served with no upstream`,
  wrong.length === 0 ? 'nothing was wrong' : `WRONG:\n${wrong.join('\n')}`,
]
process.stdout.write(`${lines.join('\n')}\n`)
process.exitCode = wrong.length === 0 ? 0 : 1

function progress(what: string, done: number, found: number): void {
  if (done % 10 === 0 || found > 0) {
    process.stdout.write(`  ${what}: ${done} rounds, ${found} wrong\n`)
  }
}
