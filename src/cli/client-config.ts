import { join, resolve } from 'node:path'
import type { Command } from 'commander'
import { Argument, Option } from 'commander'
import type { ServerConfig } from '../config/config.ts'
import { formatListenAddress } from '../config/listen-address.ts'
import { readPublicUrl } from '../config/web-url.ts'
import { systemClock } from '../core/system-clock.ts'
import { buildkitSetup } from './client-buildkit.ts'
import { containerdSetup } from './client-containerd.ts'
import { dockerSetup } from './client-docker.ts'
import { k3sSetup } from './client-k3s.ts'
import { podmanSetup } from './client-podman.ts'
import type { ClientFile, ClientSetup, MirrorFacts } from './client-setup.ts'
import { aliasesOf } from './client-setup.ts'
import { clientUrl } from './client-url.ts'
import type { Context } from './context.ts'
import { isLoopback } from './is-loopback.ts'
import { mergeLists } from './merge-lists.ts'
import type { Terminal } from './terminal.ts'
import type { WrittenFile } from './write-client-files.ts'
import { writeClientFiles, WriteError } from './write-client-files.ts'

const CLIENTS = {
  containerd: containerdSetup,
  docker: dockerSetup,
  podman: podmanSetup,
  buildkit: buildkitSetup,
  k3s: k3sSetup,
} satisfies Record<string, (facts: MirrorFacts) => ClientSetup>

export const CLIENT_NAMES = Object.keys(CLIENTS)

interface Options {
  readonly url?: string
  readonly fallback: boolean
  readonly write?: string
  readonly output: 'text' | 'json'
}

export function addClientConfig(program: Command, context: Context): void {
  program
    .command('client-config')
    .description('print or write the files that point a client at the mirror')
    .addArgument(new Argument('<client>', 'which client').choices(CLIENT_NAMES))
    .option(
      '--url <url>',
      'where clients find the mirror; default: server.publicUrl, or what it listens on',
    )
    .option('--no-fallback', 'keep the client from asking the registry itself')
    .option('-w, --write <dir>', 'write them below this directory, with a backup of what is there')
    .addOption(
      new Option('-o, --output <format>', 'text for people, or json')
        .choices(['text', 'json'])
        .default('text'),
    )
    .action(async (client: keyof typeof CLIENTS, options: Options, command: Command) => {
      const { config } = await context.load(command)
      const url = mirrorUrl(config.server, options, command)
      const { defaultUpstream } = config
      const upstreams = [...config.upstreams.keys()]
      const aliases = aliasesOf(config.upstreams)
      const facts = { url, upstreams, aliases, defaultUpstream, fallsBack: options.fallback }
      const setup: ClientSetup = CLIENTS[client](facts)
      if ('refusal' in setup) return command.error(`error: ${setup.refusal}`)
      const plan = { client, url, ...setup }
      if (options.write === undefined) print(plan, options, context.terminal)
      else await write(plan, options.write, options, context)
    })
}

interface Plan extends Extract<ClientSetup, { readonly files: unknown }> {
  readonly client: string
  readonly url: string
}

/** `--url` is taken as `server.publicUrl` is: without a path of its own it gets the base path. */
function mirrorUrl(server: ServerConfig, { url }: Options, command: Command): string {
  if (url !== undefined) {
    const reading = readPublicUrl(url)
    if ('value' in reading) return clientUrl({ ...server, publicUrl: reading.value }, url)
    return command.error(`error: --url: expected ${reading.expected}, got "${url}"`)
  }
  const { listen, basePath, publicUrl } = server
  if (publicUrl === undefined && listen.port === 0) {
    return command.error(
      'error: server.listen leaves the port to the system: say with --url where clients find the mirror',
    )
  }
  return clientUrl(server, `http://${formatListenAddress(listen)}${basePath}`)
}

/** The files go to stdout, so that they can be redirected, and what else there is to say to stderr. */
function print({ client, url, dir, files, notes }: Plan, { output }: Options, terminal: Terminal) {
  const shown = files.flatMap((file) => {
    const text = textOf(file)
    return text === undefined ? [] : [{ path: join(dir, file.path), text }]
  })
  if (output === 'json') {
    terminal.stdout.write(formatJson({ client, url, files: shown, notes }))
    return
  }
  const texts = shown.map(({ path, text }) => (text.startsWith('#') ? text : `# ${path}\n${text}`))
  terminal.stdout.write(texts.join('\n'))
  const isMixed = shown.length > 1 && terminal.stdout.isTTY !== true
  const mixture = `these are ${shown.length} files in one: --write DIR puts each into its place`
  printNotes(isMixed ? [mixture, ...notes] : notes, url, terminal)
}

async function write(
  { client, url, files, notes }: Plan,
  dir: string,
  { output }: Options,
  context: Context,
): Promise<void> {
  const { stdout, stderr, cwd } = context.terminal
  const written = await attempt(() => writeClientFiles(resolve(cwd, dir), files, systemClock.now()))
  if (written instanceof WriteError) {
    stderr.write(`error: ${written.message}\n`)
    context.exitCode = 1
    return
  }
  if (output === 'json') {
    stdout.write(formatJson({ client, url, files: written, notes }))
    return
  }
  stdout.write(written.map((file) => `${describeWritten(file)}\n`).join(''))
  const warnings = written.flatMap(({ path, backup, isForeign = false, remark }) => [
    ...(isForeign ? [`${path} had other settings: carry over what you need of ${backup}`] : []),
    ...(remark === undefined ? [] : [`${path}: ${remark}`]),
  ])
  printNotes([...warnings, ...notes], url, context.terminal)
}

async function attempt<T>(task: () => Promise<T>): Promise<T | WriteError> {
  try {
    return await task()
  } catch (error) {
    if (error instanceof WriteError) return error
    throw error
  }
}

function textOf(file: ClientFile): string | undefined {
  return 'text' in file ? file.text : mergeLists(undefined, file.lists).text
}

function describeWritten({ path, status, backup }: WrittenFile): string {
  return `${status.padEnd(9)}  ${path}${backup === undefined ? '' : `  (it was ${backup})`}`
}

function printNotes(notes: readonly string[], url: string, { stderr }: Terminal): void {
  const reach = isLoopback(url)
    ? [`${url} is for clients on this machine: for others, give --url or set server.publicUrl`]
    : []
  stderr.write([...notes, ...reach].map((note) => `note: ${note}\n`).join(''))
}

function formatJson(value: object): string {
  return `${JSON.stringify(value, null, 2)}\n`
}
