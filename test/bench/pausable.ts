/** A process that works for a time, stands still in between when it is told to, and prints what came of it at its end. */
import { execa } from 'execa'

export interface Pausable {
  pause(): void
  resume(): void
  /** What it has printed. @throws when it fails. */
  readonly output: Promise<string>
}

/** @param args of the command. */
export function startPausable(command: string, args: readonly string[]): Pausable {
  // A process that stands still heeds no other signal, should the bench end before it.
  const child = execa(command, [...args], { killSignal: 'SIGKILL' })
  return {
    pause: () => void child.kill('SIGSTOP'),
    resume: () => void child.kill('SIGCONT'),
    output: child.then(({ stdout }) => stdout),
  }
}
