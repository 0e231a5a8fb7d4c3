/** A process that runs until SIGINT, can be paused, and prints its result at the end. */
import { execa } from 'execa'

export interface Pausable {
  /** Suspends the process with SIGSTOP. */
  pause(): void
  /** Continues it with SIGCONT. */
  resume(): void
  /** Sends SIGINT and waits for the exit. @returns the standard output. @throws if the exit code is not 0. */
  end(): Promise<string>
}

export function startPausable(command: string, args: readonly string[]): Pausable {
  // If the bench exits first, only SIGKILL ends a suspended process.
  const child = execa(command, [...args], { killSignal: 'SIGKILL' })
  // `end` reports the rejection; it may be called later.
  child.catch(() => {})
  return {
    pause: () => void child.kill('SIGSTOP'),
    resume: () => void child.kill('SIGCONT'),
    async end() {
      child.kill('SIGINT')
      const { stdout } = await child
      return stdout
    },
  }
}
