import { dirname } from 'node:path'
import { openArchive } from '../../../src/airgap/import/archive-file.ts'
import type { ImportChoice } from '../../../src/airgap/import/import-cargo.ts'
import { importCargo } from '../../../src/airgap/import/import-cargo.ts'
import type { CargoReport } from '../../../src/airgap/import/import-report.ts'
import { loadCargo } from '../../../src/airgap/import/load-cargo.ts'
import { selectCargo } from '../../../src/airgap/import/select-cargo.ts'
import type { ImportApi } from '../../../src/core/airgap/import-api.ts'

export interface ImportTestOptions extends Partial<ImportChoice> {
  readonly only?: string
  readonly name?: string
  readonly stdin?: AsyncIterable<Uint8Array>
  readonly signal?: AbortSignal
}

const NEVER = new AbortController().signal

/** As the command does, without its words. */
export async function importInto(
  api: ImportApi,
  paths: readonly string[],
  options: ImportTestOptions = {},
): Promise<readonly CargoReport[]> {
  const { only, name, stdin, signal = NEVER, ...choice } = options
  const files = []
  for (const path of paths) files.push(await openArchive(path, dirname(path), stdin))
  const loaded = await loadCargo(files, { name, now: Date.now() }, signal)
  const reports: CargoReport[] = []
  const hooks = { onPlan: () => {}, onProgress: () => {} }
  const chosen: ImportChoice = { overwrite: false, pin: 'none', dryRun: false, ...choice }
  try {
    for (const one of loaded) {
      const cargo = only === undefined ? one : await selectCargo(one, only)
      reports.push(await importCargo(cargo, chosen, hooks, api, signal))
    }
  } finally {
    for (const one of loaded) await one.close()
  }
  return reports
}
