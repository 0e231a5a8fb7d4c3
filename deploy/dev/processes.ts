/** Processes that are not our children, by what the system knows of them: their end is no event, and pids are used again. */
import { readFile } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { execa } from 'execa'

export interface ProcessId {
  pid: number
  /** Of `startOf`: tells the process from a later one of the same pid. */
  startedAt: string | undefined
}

export async function isAlive({ pid, startedAt }: ProcessId): Promise<boolean> {
  return startedAt !== undefined && (await startOf(pid)) === startedAt
}

/** Asks the process to end, and ends it by force after `patienceMs`. */
export async function endProcess(id: ProcessId, signal: NodeJS.Signals, patienceMs: number): Promise<void> {
  send(id.pid, 'SIGCONT')
  send(id.pid, signal)
  const deadline = Date.now() + patienceMs
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

/** When a process was started, as text that no later process of its pid has; undefined when there is none. */
export async function startOf(pid: number): Promise<string | undefined> {
  if (process.platform !== 'linux') return ps('lstart=', pid)
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined)
  // proc(5): the name may hold spaces and parentheses; after it come the state and, as the 20th, the start in ticks.
  const fields = stat?.slice(stat.lastIndexOf(')') + 2).split(' ') ?? []
  if (fields.length < 20 || fields[0] === 'Z') return undefined
  const boot = await readFile('/proc/sys/kernel/random/boot_id', 'utf8')
  return `${boot.trim()} ${fields[19]}`
}

/** The command line of a process; undefined when there is none. */
export async function commandOf(pid: number): Promise<string | undefined> {
  if (process.platform !== 'linux') return ps('command=', pid)
  const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => undefined)
  return command?.replaceAll('\0', ' ')
}

async function ps(column: string, pid: number): Promise<string | undefined> {
  const { exitCode, stdout } = await execa('ps', ['-o', column, '-p', String(pid)], { reject: false })
  return exitCode === 0 ? stdout.trim() : undefined
}
