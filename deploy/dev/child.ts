/**
 * Child processes of the development programs and the tests.
 *
 * Each child leads its own process group. A terminal sends Ctrl-C to every process of the foreground group at once, but
 * the stores must keep running until the services have disconnected.
 */
import { execa } from 'execa'

export interface ChildOptions {
  /** Name for messages, such as `postgres`. */
  name: string
  command: string
  args: readonly string[]
  /** Default: the folder of this process. */
  cwd?: string
  /** The complete environment of the child. Default: empty. */
  env?: NodeJS.ProcessEnv
  /** Called for each line of standard output and standard error. */
  onLine?: (line: string) => void
  /** Signal that `stop` sends first. Default SIGTERM. */
  stopSignal?: NodeJS.Signals
  /** Time until `stop` sends SIGKILL, in milliseconds. Default 35,000, more than the hard stop of the services. */
  stopTimeoutMs?: number
}

export interface Child {
  readonly name: string
  readonly pid: number
  /** The last 200 lines of output, the newest last. */
  readonly lastLines: readonly string[]
  readonly hasExited: boolean
  /** Resolves after the exit, when all output has been read, with the reason: `exit code 1` or `SIGKILL`. */
  readonly exited: Promise<string>
  /** Resolves with the first line that matches, earlier output included. Rejects if the child exits before. */
  waitForLine(pattern: RegExp): Promise<string>
  /** Sends a signal. Does nothing after the exit. */
  signal(signal: NodeJS.Signals): void
  /** Sends the stop signal, after the timeout SIGKILL, and resolves after the exit. */
  stop(): Promise<void>
}

const KEPT_LINES = 200

/** Starts a process. Resolves when it runs, perhaps before it is ready. @throws if the command cannot be started. */
export async function startChild(options: ChildOptions): Promise<Child> {
  const { name, command, args, cwd, env, onLine, stopSignal = 'SIGTERM', stopTimeoutMs = 35_000 } = options
  const subprocess = execa(command, args, {
    ...(cwd !== undefined && { cwd }),
    env,
    extendEnv: false,
    detached: true,
    stdin: 'ignore',
    all: true,
    buffer: false,
    reject: false,
  })
  const { pid } = subprocess
  if (pid === undefined) throw new Error(`Cannot start ${name} (${command})`, { cause: (await subprocess).cause })

  const lines: string[] = []
  const listeners = new Set<(line: string) => void>()
  let hasExited = false

  const exited = (async () => {
    for await (const line of subprocess.iterable({ from: 'all' })) {
      lines.push(line)
      if (lines.length > KEPT_LINES) lines.shift()
      onLine?.(line)
      for (const listener of listeners) listener(line)
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
    waitForLine: pattern =>
      new Promise((resolve, reject) => {
        const earlier = lines.find(line => pattern.test(line))
        if (earlier !== undefined) return resolve(earlier)
        const listener = (line: string) => {
          if (!pattern.test(line)) return
          listeners.delete(listener)
          resolve(line)
        }
        listeners.add(listener)
        void exited.then(reason => reject(new Error(`${name} exited (${reason}):\n${lines.slice(-20).join('\n')}`)))
      }),
    signal,
    async stop() {
      // A process that SIGSTOP suspended handles other signals only after SIGCONT.
      signal('SIGCONT')
      signal(stopSignal)
      const timer = setTimeout(() => signal('SIGKILL'), stopTimeoutMs)
      await exited
      clearTimeout(timer)
    },
  }
}
