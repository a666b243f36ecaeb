import type { Command } from 'commander'
import { Option } from 'commander'
import type { Config, ServerConfig } from '../config/config.ts'
import { readPublicUrl } from '../config/web-url.ts'
import { systemClock } from '../core/system-clock.ts'
import type { Hop } from '../probe/hop.ts'
import type { Found } from '../probe/probe.ts'
import { askMirror } from './ask-mirror.ts'
import { clientUrl } from './client-url.ts'
import type { Context } from './context.ts'
import { findFault } from './healthcheck.ts'
import { hopLines } from './hop-lines.ts'
import { originOf } from './origin.ts'

interface Options {
  readonly server?: string
  readonly output: 'text' | 'json'
}

export function addProbe(program: Command, context: Context): void {
  program
    .command('probe')
    .description(
      'try a pull hop by hop, and say what to do about the hop that fails; exit code 0 or 1',
    )
    .argument('<image>', 'such as alpine, ghcr.io/org/image:1.2, quay.io/org/image@sha256:…')
    .option('--server <url>', 'a running mirror to ask as well; default: where this one listens')
    .addOption(
      new Option('-o, --output <format>', 'text for people, or json')
        .choices(['text', 'json'])
        .default('text'),
    )
    .action(async (image: string, options: Options, command: Command) => {
      const { config } = await context.load(command)
      const server = readServer(config.server, options, command)
      const hops: Hop[] = []
      const report = (hop: Hop) => {
        hops.push(hop)
        if (options.output === 'text') print(hop, context)
      }
      await tryPull(image, config, server, report)
      const isOk = hops.every(({ outcome }) => outcome !== 'failed')
      if (!isOk) context.exitCode = 1
      if (options.output === 'json') {
        context.terminal.stdout.write(`${JSON.stringify({ image, ok: isOk, hops }, null, 2)}\n`)
      }
    })
}

/** Taken as the `--url` of client-config is: without a path of its own it gets the base path. */
function readServer(
  config: ServerConfig,
  { server }: Options,
  command: Command,
): string | undefined {
  if (server === undefined) return undefined
  const reading = readPublicUrl(server)
  if ('value' in reading) return clientUrl({ ...config, publicUrl: reading.value }, server)
  return command.error(`error: --server: expected ${reading.expected}, got "${server}"`)
}

async function tryPull(
  image: string,
  config: Config,
  server: string | undefined,
  report: (hop: Hop) => void,
): Promise<void> {
  // Loaded here: other commands answer without a registry client.
  const { probe } = await import('../probe/probe.ts')
  const found = await probe(image, config, { clock: systemClock, report })
  if (found !== undefined) report(await tryMirror(config, server, found))
}

/** A mirror that nobody named may well not run; one that was named has to. */
async function tryMirror(
  { server: { listen, basePath } }: Config,
  server: string | undefined,
  found: Found,
): Promise<Hop> {
  if (server !== undefined) return askMirror(server, found)
  const origin = originOf(listen)
  const fault = await findFault(`${origin}/readyz`)
  if (fault === undefined) return askMirror(origin + basePath, found)
  return { name: 'mirror', outcome: 'skipped', text: `none is ready at ${origin}: ${fault}` }
}

function print(hop: Hop, { terminal: { stdout, env } }: Context): void {
  const hasColor = stdout.isTTY === true && !env['NO_COLOR']
  stdout.write(`${hopLines(hop, hasColor).join('\n')}\n`)
}
