/** A process that works until SIGINT, stands still in between when it is told to, and prints what came of it at its end. */
import { execa } from 'execa'

export interface Pausable {
  pause(): void
  resume(): void
  /** @returns what it has printed. @throws when it fails, or has failed before. */
  end(): Promise<string>
}

/** @param args of the command. */
export function startPausable(command: string, args: readonly string[]): Pausable {
  // A process that stands still heeds no other signal, should the bench end before it.
  const child = execa(command, [...args], { killSignal: 'SIGKILL' })
  // Whoever ends it is told of its failure, but perhaps not before it has failed.
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
