/** A process of ours under test: what it logs, and what may happen to it. */
import { EventEmitter, once } from 'node:events'
import { type Child, startChild } from '../../deploy/dev/child.ts'
import { type ServiceName, serviceCommand, waitForService } from '../../deploy/dev/services.ts'

export interface LogEntry {
  level: string
  msg: string
  trace_id?: string
  [field: string]: unknown
}

export interface TestProcess {
  readonly name: string
  /** Of the process that runs now: another one after a restart. */
  readonly pid: number
  /** Everything it has logged since the test began, restarts included. */
  readonly entries: readonly LogEntry[]
  /** The first entry that fits, logged already or in time to come. */
  entry(fits: (entry: LogEntry) => boolean): Promise<LogEntry>
  signal(signal: NodeJS.Signals): void
  /** `kill -9`, and waits for the end. */
  kill(): Promise<void>
  /** SIGTERM. @returns how it ended, such as `exit code 0`. */
  stop(): Promise<string>
  /** Starts it again after its end, as it was, and waits until it is ready. */
  start(): Promise<void>
}

/** Resolves when it is ready. */
export async function startTestProcess(name: ServiceName, env: Record<string, string>): Promise<TestProcess> {
  const entries: LogEntry[] = []
  const logged = new EventEmitter().setMaxListeners(0)
  let child: Child

  function onLine(line: string): void {
    if (!line.startsWith('{')) return
    const entry: LogEntry = JSON.parse(line)
    entries.push(entry)
    logged.emit('entry', entry)
  }

  async function start(): Promise<void> {
    child = await startChild({ name, ...serviceCommand(name), env: { ...process.env, ...env }, onLine })
    const ended = child.exited.then(how => {
      throw new Error(`${name} ended with ${how}:\n${child.lastLines.slice(-20).join('\n')}`)
    })
    await Promise.race([waitForService(name, env), ended])
    ended.catch(() => {})
  }

  await start()
  return {
    name,
    get pid() {
      return child.pid
    },
    entries,
    async entry(fits) {
      for (let seen = 0; ; await once(logged, 'entry')) {
        for (; seen < entries.length; seen++) {
          const entry = entries[seen]
          if (entry !== undefined && fits(entry)) return entry
        }
      }
    },
    signal: which => child.signal(which),
    async kill() {
      child.signal('SIGKILL')
      await child.exited
    },
    async stop() {
      await child.stop()
      return child.exited
    },
    start,
  }
}
