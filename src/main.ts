#!/usr/bin/env node
import { createInterface } from 'node:readline/promises'
import { run } from './cli/run.ts'

/** On stderr, because stdout is for what the command has to say. */
async function ask(question: string): Promise<string> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr })
  try {
    return await terminal.question(question)
  } finally {
    terminal.close()
  }
}

/** Returns what writes bytes to stdout. They are a file, of which no reader has seen enough before its end. */
function openOutput(): (chunk: Uint8Array) => Promise<void> {
  let isFile = false
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error
    // A reader of lines that has seen enough (`… | head`) is no failure.
    if (!isFile) process.exit(0)
    process.stderr.write('error: whoever read standard output has left before its end\n')
    process.exit(1)
  })
  return (chunk) => {
    isFile = true
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    process.stdout.write(chunk, (failure) => (failure ? reject(failure) : resolve()))
    return promise
  }
}

const exitCode = await run(process.argv.slice(2), {
  stdout: process.stdout,
  stderr: process.stderr,
  writeBytes: openOutput(),
  stdin: process.stdin,
  env: process.env,
  cwd: process.cwd(),
  signals: process,
  ...(process.stdin.isTTY && process.stderr.isTTY && { ask }),
})
// Not left to the event loop: a start that failed half-way may have left something open.
process.exit(exitCode)
