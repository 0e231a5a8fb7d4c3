/** CPU time and memory of processes from /proc. On other systems than Linux all values are NaN. */
import { readdirSync, readFileSync } from 'node:fs'

const PAGE_BYTES = 4096

/** Whether CPU time and memory can be read. */
export const canAccount = process.platform === 'linux'

/**
 * Returns the CPU time of processes and their threads so far, user and system, in microseconds.
 *
 * Reads `schedstat`, which counts in nanoseconds; /proc/<pid>/stat counts in hundredths of a second. The time of a
 * thread that has exited is lost, but the threads of Node exit with the process.
 */
export function cpuTimeOf(pids: readonly number[]): number {
  return sum(pids, pid => {
    if (!canAccount) return Number.NaN
    const tasks = `/proc/${pid}/task`
    return sum(
      readdirSync(tasks),
      task => Number(readFileSync(`${tasks}/${task}/schedstat`, 'utf8').split(' ', 1)) / 1000,
    )
  })
}

/** Measures the CPU time of processes between `start` and `stop`, which can be called repeatedly. */
export class CpuMeter {
  readonly #pids: readonly number[]
  #us = 0
  #startedAt: number | undefined

  constructor(pids: readonly number[]) {
    this.#pids = pids
  }

  start(): void {
    this.#startedAt ??= cpuTimeOf(this.#pids)
  }

  stop(): void {
    if (this.#startedAt !== undefined) this.#us += cpuTimeOf(this.#pids) - this.#startedAt
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
