import { cp, mkdir, realpath, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { BUSYBOX } from './debian-packages.ts'
import { NPM_PACKAGE } from './npm-package.ts'
import { runCommand } from './programs.ts'

/** What the Dockerfile and npm call. */
const APPLETS = ['sh', 'env', 'chmod', 'chown', 'ln', 'mkdir']

const PASSWD = 'root:x:0:0::/root:/bin/sh\nnode:x:1000:1000::/home/node:/bin/sh\n'
const GROUP = 'root:x:0:\nnode:x:1000:\n'

/**
 * Writes a build context of what stands in for the Dockerfile's base where no registry can be reached: Node
 * and its libraries from this machine, npm, and a shell, each where the real one has it.
 */
export async function writeBaseContext(dir: string): Promise<void> {
  const root = join(dir, 'root')
  const bin = join(root, 'usr/local/bin')
  const modules = join(root, 'usr/local/lib/node_modules')
  for (const folder of [bin, modules, join(root, 'bin'), join(root, 'etc')]) {
    await mkdir(folder, { recursive: true })
  }
  await mkdir(join(root, 'tmp'), { mode: 0o777 })
  await copyProgram(root, process.execPath, '/usr/local/bin/node')
  await copyProgram(root, BUSYBOX, '/bin/busybox')
  for (const applet of APPLETS) await symlink('busybox', join(root, 'bin', applet))
  // `#!/usr/bin/env node`
  await symlink('../bin', join(root, 'usr/bin'))
  await cp(NPM_PACKAGE, join(modules, 'npm'), { recursive: true })
  await symlink('../lib/node_modules/npm/bin/npm-cli.js', join(bin, 'npm'))
  await writeFile(join(root, 'etc/passwd'), PASSWD)
  await writeFile(join(root, 'etc/group'), GROUP)
  const lines = ['FROM scratch', 'COPY root /', 'ENV PATH=/usr/local/bin:/usr/bin:/bin']
  await writeFile(join(dir, 'Dockerfile'), `${lines.join('\n')}\n`)
}

async function copyProgram(root: string, program: string, target: string): Promise<void> {
  await cp(await realpath(program), join(root, target))
  for (const library of await librariesOf(program)) {
    await mkdir(join(root, dirname(library)), { recursive: true })
    await cp(await realpath(library), join(root, library))
  }
}

/** ldd(1) prints `name => /path (address)`, and the loader as `/path (address)`. */
async function librariesOf(program: string): Promise<readonly string[]> {
  try {
    const printed = await runCommand('ldd', [program])
    return [...printed.matchAll(/(?:^|\s)(\/\S+) \(0x/g)].map(([, path = '']) => path)
  } catch (error) {
    if (String(error).includes('not a dynamic executable')) return []
    throw error
  }
}
