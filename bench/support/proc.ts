import { readdirSync, readFileSync } from 'node:fs'
import type { Usage } from './peer.ts'

/** proc(5): times are in ticks, and Linux has shown programs a hundred of them a second for ever. */
const TICKS_PER_SECOND = 100

/** What /proc/PID/stat says of a process. */
export interface ProcessStat {
  readonly pid: number
  readonly parent: number
  /** Of itself, and of its children that it has waited for. */
  readonly cpuSeconds: number
}

/** What the first line of /proc/stat says of all cores together, in seconds since the start. */
export interface MachineCpu {
  readonly all: number
  /** Of programs, and what the hypervisor gave to other machines. */
  readonly programs: number
}

/** The name stands in parentheses, and may hold some itself. */
export function parseStat(text: string): ProcessStat {
  const fields = text
    .slice(text.lastIndexOf(')') + 2)
    .split(' ')
    .map(Number)
  const [, parent = 0] = fields
  const ticks = fields.slice(11, 15).reduce((sum, ticks) => sum + ticks, 0)
  return { pid: Number.parseInt(text, 10), parent, cpuSeconds: ticks / TICKS_PER_SECOND }
}

/** Interrupts are left out: whether a program is charged for them is up to how the kernel was built. */
export function parseMachineCpu(text: string): MachineCpu {
  const line = /^cpu +(.*)$/m.exec(text)?.[1]
  if (line === undefined) throw new Error('/proc/stat has no line "cpu"')
  const seconds = line.split(' ').map((ticks) => Number(ticks) / TICKS_PER_SECOND)
  const [user = 0, nice = 0, system = 0, , , , , steal = 0] = seconds
  // Guests' time is part of user's.
  const all = seconds.slice(0, 8).reduce((sum, part) => sum + part, 0)
  return { all, programs: user + nice + system + steal }
}

/** Bytes, of /proc/PID/status. A process that is about to end has none. */
export function parsePeak(text: string): number {
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(text)?.[1] ?? 0) * 1024
}

/** The same of what is resident now. */
export function parseResident(text: string): number {
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(text)?.[1] ?? 0) * 1024
}

/** The process and all that it started, in turn. */
export function treeOf(root: number, all: readonly ProcessStat[]): readonly ProcessStat[] {
  const children = all.filter(({ parent }) => parent === root)
  const self = all.filter(({ pid }) => pid === root)
  return [...self, ...children.flatMap(({ pid }) => treeOf(pid, all))]
}

/** Of a process and all that it started. Throws if it has ended. */
export function usageOf(pid: number): Usage {
  const tree = treeOf(pid, readStats())
  if (tree.length === 0) throw new Error(`process ${pid} has ended`)
  const statuses = tree.map((one) => readOf(one.pid, 'status'))
  return {
    cpuSeconds: tree.reduce((sum, { cpuSeconds }) => sum + cpuSeconds, 0),
    peakBytes: statuses.reduce((sum, status) => sum + parsePeak(status), 0),
    residentBytes: statuses.reduce((sum, status) => sum + parseResident(status), 0),
  }
}

/** A process and all that it started. */
export function processesOf(pid: number): readonly number[] {
  return treeOf(pid, readStats()).map((one) => one.pid)
}

/** Bytes that a process has written so far, to files and sockets: `wchar` of /proc/PID/io. */
export function writtenBy(pid: number): number {
  const count = /^wchar: (\d+)$/m.exec(readOf(pid, 'io'))?.[1]
  if (count === undefined) throw new Error(`/proc/${pid}/io has no "wchar"`)
  return Number(count)
}

/** All that this process started, those last that were started by others of them. */
export function descendants(): readonly number[] {
  return treeOf(process.pid, readStats())
    .map(({ pid }) => pid)
    .filter((pid) => pid !== process.pid)
}

export function readMachineCpu(): MachineCpu {
  return parseMachineCpu(readFileSync('/proc/stat', 'utf8'))
}

function readStats(): readonly ProcessStat[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((name) => readOf(Number(name), 'stat'))
    .filter((text) => text !== '')
    .map(parseStat)
}

function readOf(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8')
  } catch {
    // It has ended since it was listed.
    return ''
  }
}
