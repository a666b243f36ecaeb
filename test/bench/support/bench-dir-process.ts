import { spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { makeBenchDir } from '../../../bench/support/bench-dir.ts'

// Run by bench-dir.test.ts: a benchmark that is under way, with a program that it has started.
await using dir = await makeBenchDir()
writeFileSync(join(dir.path, 'blob'), 'bytes')
const child = spawn('sleep', ['60'])
process.stdout.write(`${JSON.stringify({ dir: dir.path, pid: child.pid })}\n`)
if (process.argv[2] === 'ends') child.kill()
else await new Promise((resolve) => setTimeout(resolve, 60_000))
