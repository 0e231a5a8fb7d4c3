/**
 * Processes that this process did not start. The system reports no exit of such a process, and reuses pids, so a
 * process is identified by its pid and its start time.
 */
import { readFile } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { execa } from 'execa'

export interface ProcessId {
  pid: number
  /** Result of `startTimeOf`. Distinguishes the process from a later one with the same pid. */
  startedAt: string | undefined
}

/** Whether the process with this pid is still the one that was identified. */
export async function isAlive({ pid, startedAt }: ProcessId): Promise<boolean> {
  return startedAt !== undefined && (await startTimeOf(pid)) === startedAt
}

/** Sends a signal, after `timeoutMs` SIGKILL, and resolves when the process has exited. Polls every 50 ms. */
export async function terminateProcess(id: ProcessId, signal: NodeJS.Signals, timeoutMs: number): Promise<void> {
  send(id.pid, 'SIGCONT')
  send(id.pid, signal)
  const deadline = Date.now() + timeoutMs
  while (await isAlive(id)) {
    if (Date.now() > deadline) send(id.pid, 'SIGKILL')
    await delay(50)
  }
}

function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

/** @returns a text that is unique among all processes that ever have this pid, or undefined if there is none. */
export async function startTimeOf(pid: number): Promise<string | undefined> {
  if (process.platform !== 'linux') return ps('lstart=', pid)
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined)
  // proc(5): `comm` may contain spaces and parentheses. The 20th field after it is `starttime`, in ticks.
  const fields = stat?.slice(stat.lastIndexOf(')') + 2).split(' ') ?? []
  if (fields.length < 20 || fields[0] === 'Z') return undefined
  const boot = await readFile('/proc/sys/kernel/random/boot_id', 'utf8')
  return `${boot.trim()} ${fields[19]}`
}

/** @returns the command line of a process, or undefined if there is no such process. */
export async function commandLineOf(pid: number): Promise<string | undefined> {
  if (process.platform !== 'linux') return ps('command=', pid)
  const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => undefined)
  return command?.replaceAll('\0', ' ')
}

async function ps(column: string, pid: number): Promise<string | undefined> {
  const { exitCode, stdout } = await execa('ps', ['-o', column, '-p', String(pid)], { reject: false })
  return exitCode === 0 ? stdout.trim() : undefined
}
