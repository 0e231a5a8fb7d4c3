/** CPU time and memory of processes from /proc. On other systems than Linux all values are NaN. */
import { readdirSync, readFileSync } from 'node:fs'

const PAGE_BYTES = 4096

/** Whether CPU time and memory can be read. */
export const canAccount = process.platform === 'linux'

/**
 * Returns the CPU time of processes and their threads so far, user and system, in microseconds. A process that has exited
 * counts as 0.
 *
 * Reads `schedstat`, which counts in nanoseconds; /proc/<pid>/stat counts in hundredths of a second. The time of a
 * thread that has exited is lost, but the threads of Node exit with the process.
 */
export function cpuTimeOf(pids: readonly number[]): number {
  return sum(pids, pid => timeOfProcess(pid) ?? 0)
}

/**
 * Returns the CPU time that processes used since `before`, in microseconds. A process that has exited since then counts
 * as 0: its time is lost.
 * @param before time of each process, from `cpuTimesOf`.
 */
export function cpuTimeSince(before: ReadonlyMap<number, number>): number {
  return sum([...before], ([pid, us]) => Math.max(0, (timeOfProcess(pid) ?? us) - us))
}

/** Returns the CPU time of each process that runs, in microseconds. */
export function cpuTimesOf(pids: readonly number[]): ReadonlyMap<number, number> {
  return new Map(pids.flatMap(pid => [[pid, timeOfProcess(pid)] as const]).filter(isRunning))
}

function isRunning(entry: readonly [number, number | undefined]): entry is readonly [number, number] {
  return entry[1] !== undefined
}

/** Returns undefined for a process that has exited. */
function timeOfProcess(pid: number): number | undefined {
  if (!canAccount) return Number.NaN
  const tasks = `/proc/${pid}/task`
  const threads = unlessGone(() => readdirSync(tasks))
  if (threads === undefined) return undefined
  const read = (task: string) => Number(readFileSync(`${tasks}/${task}/schedstat`, 'utf8').split(' ', 1)) / 1000
  return sum(threads, task => unlessGone(() => read(task)) ?? 0)
}

/** Returns undefined if the process or thread has exited: ENOENT before the file is open, ESRCH after. */
function unlessGone<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch (error) {
    if (['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined
    throw error
  }
}

/** Measures the CPU time of processes between `start` and `stop`, which can be called repeatedly. */
export class CpuMeter {
  readonly #pids: readonly number[]
  #us = 0
  #startedAt: ReadonlyMap<number, number> | undefined

  constructor(pids: readonly number[]) {
    this.#pids = pids
  }

  start(): void {
    this.#startedAt ??= cpuTimesOf(this.#pids)
  }

  stop(): void {
    if (this.#startedAt !== undefined) this.#us += cpuTimeSince(this.#startedAt)
    this.#startedAt = undefined
  }

  /** CPU time of all measured intervals, in microseconds. */
  get used(): number {
    return this.#us
  }
}

/** Returns the resident set size of processes in bytes: field 24 of proc_pid_stat(5). */
export function residentOf(pids: readonly number[]): number {
  return sum(pids, pid => Number(statOf(pid)[21]) * PAGE_BYTES)
}

/** @returns the fields after the command, which can contain spaces and parentheses. */
function statOf(pid: number): string[] {
  if (!canAccount) return []
  const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
  return text.slice(text.lastIndexOf(')') + 2).split(' ')
}

function sum<T>(items: readonly T[], measure: (item: T) => number): number {
  return items.reduce((total, item) => total + measure(item), 0)
}
