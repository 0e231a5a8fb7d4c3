/** What the operating system has accounted to a process, from /proc: elsewhere than on Linux it is not a number. */
import { readdirSync, readFileSync } from 'node:fs'

const PAGE_BYTES = 4096

export const canAccount = process.platform === 'linux'

/**
 * Microseconds that the processes have run so far, user and system, their threads included: what the scheduler has
 * counted, in nanoseconds, where /proc/<pid>/stat has hundredths of a second. A thread that ends takes its time with it;
 * those of Node live as long as their process.
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

/** Adds up what processes use while it is on. */
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

  /** Microseconds. */
  get used(): number {
    return this.#us
  }
}

/** Bytes of memory that the processes hold right now: resident set size, the 24th field of proc_pid_stat(5). */
export function residentOf(pids: readonly number[]): number {
  return sum(pids, pid => Number(statOf(pid)[21]) * PAGE_BYTES)
}

/** The fields after the command, which may itself contain spaces and parentheses. */
function statOf(pid: number): string[] {
  if (!canAccount) return []
  const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
  return text.slice(text.lastIndexOf(')') + 2).split(' ')
}

function sum<T>(all: readonly T[], of: (one: T) => number): number {
  return all.reduce((total, one) => total + of(one), 0)
}
