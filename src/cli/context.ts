import type { Command } from 'commander'
import type { LogLevel } from '../config/config.ts'
import type { LoadedConfig, LoadOptions } from '../config/load-config.ts'
import { loadConfig } from '../config/load-config.ts'
import type { ExitCode, Terminal } from './terminal.ts'

/** One run of the command line: what its commands share, and how they say that they are done. */
export class Context {
  readonly terminal: Terminal
  exitCode: ExitCode = 0
  #level: LogLevel | undefined

  constructor(terminal: Terminal) {
    this.terminal = terminal
  }

  /** Loads what `-c` and the environment name. Throws ConfigError. */
  async load(
    command: Command,
    flags: Pick<LoadOptions, 'flags' | 'offline'> = {},
  ): Promise<LoadedConfig> {
    const { env, cwd } = this.terminal
    const { config: file } = command.optsWithGlobals<{ readonly config?: string }>()
    const loaded = await loadConfig({ file, env, cwd, ...flags })
    this.#level = loaded.config.log.level
    return loaded
  }

  /** Whether stack traces are wanted: as the configuration says, or the environment before there is one. */
  get isVerbose(): boolean {
    const level = this.#level ?? this.terminal.env['OCI_MIRROR_LOG_LEVEL']
    return level === 'debug' || level === 'trace'
  }
}
