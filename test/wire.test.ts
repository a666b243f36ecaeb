import { afterEach, expect, it, vi } from 'vitest'
import { loadConfig } from '../src/config/load-config.ts'
import { SqliteCatalog } from '../src/store/sqlite-catalog.ts'
import { openOperations } from '../src/wire.ts'
import { makeTempDir } from './support/temp-dir.ts'
import { openDataDirectory } from '../src/store/data-directory.ts'

afterEach(() => {
  vi.restoreAllMocks()
})

it('releases everything else where one thing cannot be closed, and tells of it', async () => {
  await using dir = await makeTempDir()
  openDataDirectory(dir.path).release()
  const { config } = await loadConfig({
    env: { OCI_MIRROR_DATA: dir.path },
    cwd: dir.path,
    systemDir: dir.path,
  })
  const first = await openOperations(config)
  const closing = vi
    .spyOn(SqliteCatalog.prototype, 'close')
    .mockRejectedValueOnce(new Error('the catalog does not close'))
  await expect(first.close()).rejects.toThrow('the catalog does not close')
  expect(closing).toHaveBeenCalledOnce()
  const second = await openOperations(config)
  await second.close()
})
