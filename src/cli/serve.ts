import type { Command } from 'commander'
import type { Config } from '../config/config.ts'
import { didYouMean } from '../config/did-you-mean.ts'
import type { Override } from '../config/overrides.ts'
import type { RunningMirror } from '../wire.ts'
import { banner } from './banner.ts'
import { clientUrl } from './client-url.ts'
import type { Context } from './context.ts'
import { packageVersion } from '../core/package-version.ts'
import { endOnDefect } from './defects.ts'
import { waitForStop } from './stop-signals.ts'
import type { Terminal } from './terminal.ts'

interface Options {
  readonly listen?: string
  readonly data?: string
  readonly offline?: true
}

export function addServe(program: Command, context: Context): void {
  program
    .command('serve', { isDefault: true })
    .description('run the mirror until SIGINT or SIGTERM; what happens if no command is given')
    .option('-l, --listen <address>', 'where to listen instead of server.listen')
    .option('-d, --data <dir>', 'where to keep content instead of storage.dir')
    .option('--offline', 'ask no upstream for anything: serve what is here (OCI_MIRROR_OFFLINE=1)')
    .allowExcessArguments()
    .action(async (options: Options, command: Command) => {
      refuseArguments(program, command)
      const flags = { flags: overrides(options), ...(options.offline && { offline: true }) }
      const { config } = await context.load(command, flags)
      await serve(config, context.terminal)
    })
}

/** Runs until it is told to stop, and returns when all that was under way has ended. */
async function serve(config: Config, terminal: Terminal): Promise<void> {
  // Loaded here: the other commands answer without a database, a web server and a registry client.
  const { startMirror } = await import('../wire.ts')
  // Before the start: the first process of a container never gets a signal that it does not wait for.
  const stop = waitForStop(terminal.signals)
  const mirror = await startMirror(config)
  endOnDefect(terminal.signals, mirror.logger)
  announce(config, mirror, terminal)
  const signal = await stop
  mirror.logger.info({ signal }, 'stopping: a second signal ends the process at once')
  await mirror.drain()
  mirror.logger.info({}, 'stopped')
  await writtenOut(mirror.logger)
}

/**
 * When the process ends, pino writes what is left, and if nobody reads it any more it tries that for ever:
 * so nothing may be left. A line that could not be written is no reason to wait for it.
 */
function writtenOut(logger: RunningMirror['logger']): Promise<void> {
  return new Promise((resolve) => logger.flush(() => resolve()))
}

/** The banner is for people, so it goes to stderr, and nowhere if the operator wants JSON and nothing else. */
function announce(config: Config, mirror: RunningMirror, { stderr, env, cwd }: Terminal): void {
  const { url, adminUrl, logger } = mirror
  if (config.log.format !== 'json') {
    const hasColor = stderr.isTTY === true && !env['NO_COLOR']
    const version = packageVersion()
    const facts = {
      version,
      url,
      clientUrl: clientUrl(config.server, url),
      cwd,
      hasColor,
      adminUrl,
    }
    stderr.write(banner(config, facts))
  }
  const facts = { url, admin: adminUrl ?? false, data: config.storage.dir }
  const upstreams = [...config.upstreams.values()]
  const offline = upstreams.filter(({ mode }) => mode === 'offline').map(({ name }) => name)
  logger.info(
    { ...facts, upstreams: upstreams.map(({ name }) => name), ...(offline[0] && { offline }) },
    'started',
  )
}

function overrides({ listen, data }: Options): readonly Override[] {
  return [
    ...(listen === undefined
      ? []
      : [{ path: ['server', 'listen'] as const, value: listen, origin: '--listen' }]),
    ...(data === undefined
      ? []
      : [{ path: ['storage', 'dir'] as const, value: data, origin: '--data' }]),
  ]
}

/** The default command is given whatever is no command's name: most likely it was meant to be one. */
function refuseArguments(program: Command, command: Command): void {
  const [word] = command.args
  if (word === undefined) return
  const names = program.commands.map((known) => known.name())
  command.error(`error: unknown command '${word}'${didYouMean(word, names)}`)
}
