/**
 * Pins the processes of the bench to cores: the measured process to the first core, everything else to the second, so
 * that load and backend do not compete with it. If `taskset` or a second core is missing, nothing is pinned.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { openSync } from 'node:fs'
import { availableParallelism } from 'node:os'

// Read before this process is pinned to one core.
const coreCount = availableParallelism()

export type Cores = 'measured' | 'load' | 'all'
/** Core lists in the notation of taskset. */
const LISTS: Record<Cores, string> = { measured: '0', load: '1', all: `0-${coreCount - 1}` }

export const canPin = coreCount > 1 && spawnSync('taskset', ['-c', '0', 'true']).status === 0

/** Pins a running process and its threads. Processes that it starts later inherit the cores. */
export function pin(pid: number, cores: Cores): void {
  if (canPin) spawnSync('taskset', ['-a', '-c', '-p', LISTS[cores], String(pid)])
}

/** Returns a command that runs the given one on these cores. */
export function pinnedCommand(cores: Cores, command: string, args: readonly string[]): [string, string[]] {
  return canPin ? ['taskset', ['-c', LISTS[cores], command, ...args]] : [command, [...args]]
}

export interface PinnedProcess {
  readonly name: string
  readonly pid: number
  /** Sends SIGTERM and waits for the exit. */
  stop(): Promise<void>
}

export interface PinnedOptions {
  readonly name: string
  readonly cores: Cores
  readonly command: string
  readonly args: readonly string[]
  readonly env: NodeJS.ProcessEnv
  /** File to which standard output is appended. */
  readonly output: string
}

/** Starts a process. If it exits before `stop`, the bench fails, because further measurements would be invalid. */
export function startPinned(options: PinnedOptions): PinnedProcess {
  const { name, cores, env, output } = options
  const [command, args] = pinnedCommand(cores, options.command, options.args)
  const log = openSync(output, 'a')
  // A separate session (detached), because the autogroup scheduler of Linux divides CPU time between sessions first.
  const child: ChildProcess = spawn(command, args, { env, detached: true, stdio: ['ignore', log, 'inherit'] })
  if (child.pid === undefined) throw new Error(`Cannot start ${name}`)
  const exited = once(child, 'exit')
  let isStopping = false
  void exited.then(([code, signal]) => {
    if (!isStopping) throw new Error(`${name} exited unexpectedly (${signal ?? `exit code ${code}`}). See ${output}.`)
  })
  return {
    name,
    pid: child.pid,
    async stop() {
      isStopping = true
      child.kill('SIGTERM')
      await exited
    },
  }
}
