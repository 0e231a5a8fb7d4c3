/**
 * Processes of the bench, each on its core: what is measured on the first, everything else on the second, so that neither
 * the load nor the backend takes time from it. Where `taskset` or a second core is missing, they run anywhere.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { openSync } from 'node:fs'
import { availableParallelism } from 'node:os'

export const MEASURED_CORE = 0
export const OTHER_CORE = 1

// Asked before this process is itself bound to one core.
const cores = availableParallelism()
export const canPin = cores > OTHER_CORE && spawnSync('taskset', ['-c', '0', 'true']).status === 0

/** Binds this process, with its threads and what it starts from now on, to the second core. */
export function pinThisProcess(): void {
  if (canPin) spawnSync('taskset', ['-a', '-c', '-p', String(OTHER_CORE), String(process.pid)])
}

/** Binds a process that runs already, and its threads. */
export function pinProcess(pid: number): void {
  if (canPin) spawnSync('taskset', ['-a', '-c', '-p', String(OTHER_CORE), String(pid)])
}

export interface PinnedProcess {
  readonly name: string
  readonly pid: number
  stop(): Promise<void>
}

export interface PinnedOptions {
  readonly name: string
  readonly core: number
  readonly command?: string
  readonly args: readonly string[]
  readonly env?: NodeJS.ProcessEnv
  /** File that its standard output is appended to. */
  readonly output: string
}

/** Starts it; its end before `stop` ends the bench, since nothing measured after it would be true. */
export function startPinned(options: PinnedOptions): PinnedProcess {
  const { name, core, command = process.execPath, args, env = process.env, output } = options
  const whole = [command, ...args]
  const [file = command, ...rest] = canPin ? ['taskset', '-c', String(core), ...whole] : whole
  const log = openSync(output, 'a')
  const child: ChildProcess = spawn(file, rest, { env, stdio: ['ignore', log, 'inherit'] })
  const ended = once(child, 'exit')
  let isStopping = false
  void ended.then(([code, signal]) => {
    if (!isStopping) throw new Error(`${name} ended by itself with ${signal ?? `exit code ${code}`}: see ${output}`)
  })
  if (child.pid === undefined) throw new Error(`${name} could not be started`)
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
