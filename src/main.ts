#!/usr/bin/env node
import { createInterface } from 'node:readline/promises'
import { run } from './cli/run.ts'

// A reader that has seen enough (`… | head`) is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error
  process.exit(0)
})

/** On stderr, because stdout is for what the command has to say. */
async function ask(question: string): Promise<string> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr })
  try {
    return await terminal.question(question)
  } finally {
    terminal.close()
  }
}

const exitCode = await run(process.argv.slice(2), {
  stdout: process.stdout,
  stderr: process.stderr,
  env: process.env,
  cwd: process.cwd(),
  signals: process,
  ...(process.stdin.isTTY && process.stderr.isTTY && { ask }),
})
// Not left to the event loop: a start that failed half-way may have left something open.
process.exit(exitCode)
