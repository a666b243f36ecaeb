import type { Command } from 'commander'
import type { Context } from './context.ts'

export interface ConfirmOptions {
  readonly yes?: true
}

/**
 * Shows the plan, and asks on a terminal. Where nobody can be asked, that is a wrong call: ends with 2, and
 * nothing has been done.
 */
export async function confirm(
  context: Context,
  command: Command,
  { yes }: ConfirmOptions,
  plan: readonly string[],
): Promise<boolean> {
  if (yes === true) return true
  const { stderr, ask } = context.terminal
  stderr.write(`${plan.join('\n')}\n`)
  if (ask === undefined) {
    command.error('error: nobody is here to be asked: say --yes to do this, or --dry-run to look')
  }
  const answer = await ask('Go on? [y/N] ')
  if (/^y(es)?$/i.test(answer.trim())) return true
  stderr.write('Nothing has been removed.\n')
  context.exitCode = 1
  return false
}
