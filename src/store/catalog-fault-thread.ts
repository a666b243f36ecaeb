import { parentPort, workerData } from 'node:worker_threads'
import type { FaultFound, FaultSearch } from './catalog-fault.ts'
import { findFault } from './catalog-fault.ts'

/** The other thread of `findFaultAside`. */
const { path } = workerData as FaultSearch
const found: FaultFound = { fault: findFault(path) }
// oxlint-disable-next-line unicorn/require-post-message-target-origin -- threads have no origin
parentPort?.postMessage(found)
