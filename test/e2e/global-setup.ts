import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { TestProject } from 'vitest/node'
import { makeTempDir } from '../support/temp-dir.ts'
import { install } from './install.ts'
import { formatResults } from './support/results.ts'
import { formatVersions } from './support/versions.ts'

export async function setup(project: TestProject): Promise<() => Promise<void>> {
  await install()
  const dir = await makeTempDir()
  const resultsFile = join(dir.path, 'results.jsonl')
  await writeFile(resultsFile, '')
  project.provide('resultsFile', resultsFile)
  return async () => {
    const table = await formatResults(resultsFile)
    if (table !== undefined) process.stdout.write(`\n${table}\n${await formatVersions()}\n`)
    await dir.remove()
  }
}
