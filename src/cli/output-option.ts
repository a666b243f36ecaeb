import { Option } from 'commander'
import type { Context } from './context.ts'

export interface OutputOptions {
  readonly output: 'text' | 'json'
}

export function outputOption(): Option {
  return optionOf('-o, --output <format>')
}

/** For commands whose `-o` is a file. */
export function longOutputOption(): Option {
  return optionOf('--output <format>')
}

function optionOf(flags: string): Option {
  return new Option(flags, 'text for people, or json').choices(['text', 'json']).default('text')
}

/** The report itself, or what a person is told of it. */
export function say(
  context: Context,
  { output }: OutputOptions,
  report: unknown,
  lines: () => readonly string[],
): void {
  const text = output === 'json' ? JSON.stringify(report, null, 2) : lines().join('\n')
  context.terminal.stdout.write(`${text}\n`)
}
