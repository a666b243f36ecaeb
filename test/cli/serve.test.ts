import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { run } from '../../src/cli/run.ts'
import { makeTempDir } from '../support/temp-dir.ts'
import { FakeSignals } from './fake-terminal.ts'

it('ends in good order on a signal that comes while it starts', async () => {
  await using dir = await makeTempDir()
  await writeFile(join(dir.path, 'mirror.config.json'), '{ "storage": { "minFree": 0 } }')
  const signals = new FakeSignals()
  const listens = Promise.withResolvers<void>()
  signals.on('newListener', (name) => name === 'SIGTERM' && listens.resolve())
  let said = ''
  const output = { write: (text: string) => (said += text) }
  const env = {
    OCI_MIRROR_LISTEN: '127.0.0.1:0',
    OCI_MIRROR_ADMIN_LISTEN: '127.0.0.1:0',
    OCI_MIRROR_LOG_LEVEL: 'silent',
  }
  const ended = run(['serve'], { stdout: output, stderr: output, env, cwd: dir.path, signals })
  await listens.promise
  expect(said).toBe('')
  signals.emit('SIGTERM', 'SIGTERM')
  expect(await ended).toBe(0)
  expect(said).toContain('listens on')
})
