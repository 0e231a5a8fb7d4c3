/** A process that runs until SIGINT, can be paused, and prints its result at the end. */
import { once } from 'node:events'
import { execa } from 'execa'

export interface Pausable {
  /** Suspends the process with SIGSTOP. */
  pause(): void
  /** Continues it with SIGCONT. */
  resume(): void
  /** Sends SIGINT and waits for the exit. @returns the standard output. @throws if the exit code is not 0. */
  end(): Promise<string>
}

/** The first line of a script of the bench: it works and handles SIGINT. */
export const STARTED = 'started'

/**
 * Starts a script of the bench. Resolves when it prints `STARTED`: a turn is shorter than the start of Node, so the
 * script would be paused before it sends a request, or ended before it handles SIGINT.
 * @param command the command that runs the script, such as that of `pinnedCommand`.
 * @throws if the script exits before.
 */
export async function startPausableScript(command: string, args: readonly string[]): Promise<Pausable> {
  const { child, pausable } = start(command, args)
  await Promise.race([
    once(child.stdout, 'data'),
    child.then(() => Promise.reject(new Error(`${args.join(' ')} exited at its start`))),
  ])
  return pausable
}

/** Starts a program whose start takes less time than a turn. */
export function startPausable(command: string, args: readonly string[]): Pausable {
  return start(command, args).pausable
}

function start(command: string, args: readonly string[]) {
  // If the bench exits first, only SIGKILL ends a suspended process.
  const child = execa(command, [...args], { killSignal: 'SIGKILL' })
  // `end` reports the rejection; it may be called later.
  child.catch(() => {})
  const pausable: Pausable = {
    pause: () => void child.kill('SIGSTOP'),
    resume: () => void child.kill('SIGCONT'),
    async end() {
      child.kill('SIGINT')
      const { stdout } = await child
      return stdout
    },
  }
  return { child, pausable }
}

/** Returns the last line of the output of a process. */
export function lastLine(output: string): string {
  return output.slice(output.trimEnd().lastIndexOf('\n') + 1)
}
