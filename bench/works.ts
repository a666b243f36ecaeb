import { coldBlob } from './work/cold-blob.ts'
import { connections } from './work/connections.ts'
import { herd } from './work/herd.ts'
import { image } from './work/image.ts'
import { manifests } from './work/manifests.ts'
import { startup } from './work/startup.ts'
import { warmBlob } from './work/warm-blob.ts'
import type { Work } from './work/work.ts'

const MIB = 2 ** 20
const GIB = 2 ** 30

/** All that `npm run bench` measures, in the order of the report. */
export const WORKS: readonly Work[] = [
  manifests({ seconds: 5, warmUpSeconds: 2 }),
  warmBlob({ bytes: GIB, times: 3 }),
  coldBlob({ bytes: GIB }),
  herd({ herds: [10, 50, 200], bytes: 256 * MIB, deadlineMs: 40_000 }),
  image({ layers: 40, bytes: MIB }),
  startup({ blobs: 100_000, settleMs: 3_000 }),
  connections({
    idle: 1_000,
    active: 200,
    bytes: 32 * MIB,
    deadlineMs: 60_000,
    settleMs: 2_000,
  }),
]
