/** What the operating system has accounted to a process, from /proc: elsewhere than on Linux it is not a number. */
import { readFileSync } from 'node:fs'

/** Microseconds of the unit of /proc/<pid>/stat: USER_HZ is 100 on all that Node runs on. */
const TICK_US = 10_000
const PAGE_BYTES = 4096

export const canAccount = process.platform === 'linux'

/** Microseconds of user and system time that the processes have used so far, their threads included. */
export function cpuTimeOf(pids: readonly number[]): number {
  // utime and stime, the 14th and 15th field of proc_pid_stat(5).
  return sum(pids, pid => {
    const fields = statOf(pid)
    return (Number(fields[11]) + Number(fields[12])) * TICK_US
  })
}

/** Bytes of memory that the processes hold right now: resident set size. */
export function residentOf(pids: readonly number[]): number {
  return sum(pids, pid => Number(statOf(pid)[21]) * PAGE_BYTES)
}

/** The fields after the command, which may itself contain spaces and parentheses. */
function statOf(pid: number): string[] {
  if (!canAccount) return []
  const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
  return text.slice(text.lastIndexOf(')') + 2).split(' ')
}

function sum(pids: readonly number[], of: (pid: number) => number): number {
  return pids.reduce((total, pid) => total + of(pid), 0)
}
