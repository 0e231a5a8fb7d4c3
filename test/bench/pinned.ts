/**
 * Processes of the bench, each on its core: what is measured on the first, everything else on the second, so that neither
 * the load nor the backend takes time from it. Where `taskset` or a second core is missing, they run anywhere.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { openSync } from 'node:fs'
import { availableParallelism } from 'node:os'

// Asked before this process is itself bound to one core.
const cores = availableParallelism()

/** As taskset takes them. */
export type Cores = 'measured' | 'load' | 'all'
const LISTS: Record<Cores, string> = { measured: '0', load: '1', all: `0-${cores - 1}` }

export const canPin = cores > 1 && spawnSync('taskset', ['-c', '0', 'true']).status === 0

/** Binds a process that runs already, and its threads; what it starts from then on inherits that. */
export function pin(pid: number, where: Cores): void {
  if (canPin) spawnSync('taskset', ['-a', '-c', '-p', LISTS[where], String(pid)])
}

/** A command that runs there. */
export function pinnedCommand(where: Cores, command: string, args: readonly string[]): [string, string[]] {
  return canPin ? ['taskset', ['-c', LISTS[where], command, ...args]] : [command, [...args]]
}

export interface PinnedProcess {
  readonly name: string
  readonly pid: number
  stop(): Promise<void>
}

export interface PinnedOptions {
  readonly name: string
  readonly where: Cores
  readonly command: string
  readonly args: readonly string[]
  readonly env: NodeJS.ProcessEnv
  /** File that its standard output is appended to. */
  readonly output: string
}

/** Starts it; its end before `stop` ends the bench, since nothing measured after it would be true. */
export function startPinned(options: PinnedOptions): PinnedProcess {
  const { name, where, env, output } = options
  const [command, args] = pinnedCommand(where, options.command, options.args)
  const log = openSync(output, 'a')
  // A session of its own, as under any supervisor: Linux shares the processor out by sessions first.
  const child: ChildProcess = spawn(command, args, { env, detached: true, stdio: ['ignore', log, 'inherit'] })
  if (child.pid === undefined) throw new Error(`${name} could not be started`)
  const ended = once(child, 'exit')
  let isStopping = false
  void ended.then(([code, signal]) => {
    if (!isStopping) throw new Error(`${name} ended by itself with ${signal ?? `exit code ${code}`}: see ${output}`)
  })
  return {
    name,
    pid: child.pid,
    async stop() {
      isStopping = true
      child.kill('SIGTERM')
      await ended
    },
  }
}
