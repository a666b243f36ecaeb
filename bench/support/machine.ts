import { availableParallelism, cpus, release, totalmem } from 'node:os'
import { readFile } from 'node:fs/promises'

/** What it runs on, a fact a line. */
export async function describeMachine(): Promise<readonly string[]> {
  const system = /^PRETTY_NAME="?(.*?)"?$/m.exec(await readFile('/etc/os-release', 'utf8'))?.[1]
  const [cpu] = cpus()
  return [
    `${availableParallelism()} cores of ${cpu?.model ?? 'unknown make'}`,
    `${Math.round(totalmem() / 2 ** 30)} GiB of memory`,
    `${system ?? 'unknown system'}, Linux ${release()}`,
    `Node ${process.versions.node}`,
  ]
}
