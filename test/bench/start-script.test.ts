import { readFile } from 'node:fs/promises'
import { expect, it } from 'vitest'

it('measures what `npm start` starts: the script that it reads differs by the command only', async () => {
  const text = await readFile(new URL('../../package.json', import.meta.url), 'utf8')
  const { scripts } = JSON.parse(text) as { scripts: Record<string, string> }
  expect(scripts['start']).toBe(`${scripts['oci-mirror']} serve`)
})
