import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { readBootId } from '../../src/store/boot-id.ts'
import { makeTempDir } from '../support/temp-dir.ts'

it('reads which boot of the machine this is, and does not guess', async () => {
  await using dir = await makeTempDir()
  const path = join(dir.path, 'boot_id')
  expect(readBootId(path)).toBeUndefined()
  await writeFile(path, '')
  expect(readBootId(path)).toBeUndefined()
  await writeFile(path, '6d1c6e0e-1c3a-4b39-a1b5-5a8b6d2a7c11\n')
  expect(readBootId(path)).toBe('6d1c6e0e-1c3a-4b39-a1b5-5a8b6d2a7c11')
})
