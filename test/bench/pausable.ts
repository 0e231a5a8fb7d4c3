/** A process that runs until SIGINT, can be paused, and prints its result at the end. */
import { once } from 'node:events'
import { execa } from 'execa'

export interface Pausable {
  /** Resolves at the first output. @throws if the process exits before. */
  started(): Promise<void>
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
  const output = once(child.stdout, 'data')
  return {
    async started() {
      await Promise.race([output, child.then(() => Promise.reject(new Error(`${command} exited without output`)))])
    },
    pause: () => void child.kill('SIGSTOP'),
    resume: () => void child.kill('SIGCONT'),
    async end() {
      child.kill('SIGINT')
      const { stdout } = await child
      return stdout
    },
  }
}
