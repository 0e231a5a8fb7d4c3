/**
 * A process that runs beside this one. It leads a process group of its own: a terminal's Ctrl-C reaches every process of
 * the foreground group at once, and a database must outlive those that write to it.
 */
import { execa } from 'execa'

export interface ChildOptions {
  name: string
  command: string
  args: readonly string[]
  env?: NodeJS.ProcessEnv
  /** Each line of its standard output and error. */
  onLine?: (line: string) => void
  /** What asks it to end; SIGTERM unless given. */
  stopSignal?: NodeJS.Signals
  /** Milliseconds after which it is ended by force; 35 s unless given, past the services' own hard stop. */
  stopTimeoutMs?: number
}

export interface Child {
  readonly name: string
  readonly pid: number
  /** The latest lines that it wrote, the newest last. */
  readonly lastLines: readonly string[]
  readonly hasExited: boolean
  /** Resolves when it has ended and all its output is read; says how it ended: `exit code 1`, `SIGKILL`. */
  readonly exited: Promise<string>
  /** Resolves with the first line that matches, from its start on, or rejects when it ends without one. */
  line(pattern: RegExp): Promise<string>
  signal(signal: NodeJS.Signals): void
  /** Ends it and waits for its end. */
  stop(): Promise<void>
}

const KEPT_LINES = 200

/** @throws when the command cannot be started. */
export async function startChild(options: ChildOptions): Promise<Child> {
  const { name, command, args, env, onLine, stopSignal = 'SIGTERM', stopTimeoutMs = 35_000 } = options
  const subprocess = execa(command, args, {
    env,
    extendEnv: false,
    detached: true,
    stdin: 'ignore',
    all: true,
    buffer: false,
    reject: false,
  })
  const { pid } = subprocess
  if (pid === undefined) throw new Error(`${name} could not be started`, { cause: (await subprocess).cause })

  const lines: string[] = []
  const waiting = new Set<(line: string) => void>()
  let hasExited = false

  const exited = (async () => {
    for await (const line of subprocess.iterable({ from: 'all' })) {
      lines.push(line)
      if (lines.length > KEPT_LINES) lines.shift()
      onLine?.(line)
      for (const look of waiting) look(line)
    }
    const { exitCode, signal } = await subprocess
    hasExited = true
    return signal ?? `exit code ${exitCode}`
  })()

  function signal(which: NodeJS.Signals): void {
    if (!hasExited) subprocess.kill(which)
  }

  return {
    name,
    pid,
    lastLines: lines,
    get hasExited() {
      return hasExited
    },
    exited,
    line: pattern =>
      new Promise((resolve, reject) => {
        const earlier = lines.find(line => pattern.test(line))
        if (earlier !== undefined) return resolve(earlier)
        const look = (line: string) => {
          if (!pattern.test(line)) return
          waiting.delete(look)
          resolve(line)
        }
        waiting.add(look)
        void exited.then(how => reject(new Error(`${name} ended with ${how}:\n${lines.slice(-20).join('\n')}`)))
      }),
    signal,
    async stop() {
      // A process that is stopped in its tracks sees no other signal before it goes on.
      signal('SIGCONT')
      signal(stopSignal)
      const force = setTimeout(() => signal('SIGKILL'), stopTimeoutMs)
      await exited
      clearTimeout(force)
    },
  }
}
