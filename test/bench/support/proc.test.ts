import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import {
  descendants,
  parseMachineCpu,
  parsePeak,
  parseResident,
  parseStat,
  treeOf,
  usageOf,
  writtenBy,
} from '../../../bench/support/proc.ts'
import { makeTempDir } from '../../support/temp-dir.ts'

const STAT =
  '4711 (a) b (c) S 1 4711 4711 0 -1 4194560 2411 6000 0 0 1234 566 100 50 20 0 12 0 890 1252112 6287 1844'

describe('what /proc says of a process', () => {
  it('has its name in parentheses, whatever the name is', () => {
    expect(parseStat(STAT)).toEqual({ pid: 4711, parent: 1, cpuSeconds: 19.5 })
  })

  it('has the most memory that was resident', () => {
    expect(parsePeak('Name:\tnode\nVmPeak:\t 9999 kB\nVmHWM:\t    2048 kB\n')).toBe(2 * 2 ** 20)
    expect(parsePeak('Name:\tzombie\n')).toBe(0)
  })

  it('has the memory that is resident now', () => {
    expect(parseResident('VmHWM:\t    4096 kB\nVmRSS:\t    1024 kB\n')).toBe(2 ** 20)
  })

  it('is told for it and all that it started, but for nobody else', () => {
    const stat = (pid: number, parent: number) => ({ pid, parent, cpuSeconds: 0 })
    const all = [stat(1, 0), stat(2, 1), stat(3, 1), stat(4, 3), stat(5, 4)]
    expect(treeOf(3, all).map(({ pid }) => pid)).toEqual([3, 4, 5])
    expect(treeOf(9, all)).toEqual([])
  })
})

describe('what /proc says of the machine', () => {
  it('counts programs and stolen time, without interrupts and waiting', () => {
    const text = 'cpu  100 20 300 4000 500 60 70 8 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n'
    const { all, programs } = parseMachineCpu(text)
    expect(all).toBeCloseTo(50.58)
    expect(programs).toBeCloseTo(4.28)
  })

  it('is an error if there is nothing of it', () => {
    expect(() => parseMachineCpu('')).toThrow('no line "cpu"')
  })
})

describe('a process', () => {
  it('that works is seen to', () => {
    const before = usageOf(process.pid)
    const end = performance.now() + 100
    while (performance.now() < end);
    const after = usageOf(process.pid)
    expect(after.cpuSeconds).toBeGreaterThan(before.cpuSeconds)
    expect(after.peakBytes).toBeGreaterThan(2 ** 20)
  })

  it('that has ended has no usage', () => {
    expect(() => usageOf(2 ** 22 + 1)).toThrow('has ended')
  })

  it('that writes is seen to', async () => {
    await using dir = await makeTempDir()
    const file = await open(join(dir.path, 'file'), 'w')
    const before = writtenBy(process.pid)
    writeSync(file.fd, Buffer.alloc(100_000))
    await file.close()
    expect(writtenBy(process.pid) - before).toBeGreaterThanOrEqual(100_000)
  })

  it('is among the descendants of whoever started it, until it ends', async () => {
    const child = spawn('sleep', ['60'])
    await once(child, 'spawn')
    expect(descendants()).toContain(child.pid)
    child.kill()
    await once(child, 'exit')
    expect(descendants()).not.toContain(child.pid)
  })
})
