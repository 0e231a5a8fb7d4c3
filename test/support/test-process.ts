/** Runs a service as a process under test: collects its log, and signals, stops and restarts it. */
import { EventEmitter, once } from 'node:events'
import { type Child, startChild } from '../../deploy/dev/child.ts'
import { type ServiceName, serviceCommand, waitForService } from '../../deploy/dev/services.ts'
import { until } from './until.ts'

/** `/readyz` of the metrics port: of one process, or of the workers. */
interface GatewayHealth {
  checks?: { passed: boolean }[]
  workers?: { health: { checks: { passed: boolean }[] } | null }[]
}

export interface LogEntry {
  level: string
  msg: string
  trace_id?: string
  [field: string]: unknown
}

export interface TestProcess {
  readonly name: string
  /** Process id; changes with a restart. */
  readonly pid: number
  /** All log entries since the first start, including those of earlier processes. */
  readonly entries: readonly LogEntry[]
  /** Resolves with the first entry that matches, past or future. */
  entry(matches: (entry: LogEntry) => boolean): Promise<LogEntry>
  signal(signal: NodeJS.Signals): void
  /** Sends SIGKILL and resolves after the exit. */
  kill(): Promise<void>
  /** Sends SIGTERM and resolves after the exit with the reason, such as `exit code 0`. */
  stop(): Promise<string>
  /** Starts the process again with the same environment. Resolves when it is ready. */
  start(): Promise<void>
}

/**
 * Starts a service. Resolves when it is ready.
 * @param waitsForUpstreams whether a gateway's upstreams must pass their health checks too. Default true.
 * @throws if it exits before, with its last log lines.
 */
export async function startTestProcess(
  name: ServiceName,
  env: Record<string, string>,
  { waitsForUpstreams = true }: { waitsForUpstreams?: boolean } = {},
): Promise<TestProcess> {
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
    const startedFrom = entries.length
    child = await startChild({ name, ...serviceCommand(name), env: { ...process.env, ...env }, onLine })
    const exited = child.exited.then(reason => {
      throw new Error(`${name} exited (${reason}):\n${child.lastLines.slice(-20).join('\n')}`)
    })
    await Promise.race([waitForService(name, env).then(() => waitForUpstreams(startedFrom)), exited])
    exited.catch(() => {})
  }

  /** A gateway is ready without its upstreams. Waits for them, so that no test begins during a reconnection. */
  async function waitForUpstreams(startedFrom: number): Promise<void> {
    const listening = entries.slice(startedFrom).find(({ msg }) => msg === 'metrics server listening')
    if (name !== 'gateway' || listening === undefined || !waitsForUpstreams) return
    await until(
      async () => {
        const response = await fetch(`http://127.0.0.1:${listening['port']}/readyz`)
        return (await response.json()) as GatewayHealth
      },
      ({ checks = [], workers = [] }) =>
        [...checks, ...workers.flatMap(({ health }) => health?.checks ?? [])].every(({ passed }) => passed),
      { timeoutMs: 30_000, everyMs: 50 },
    )
  }

  await start()
  return {
    name,
    get pid() {
      return child.pid
    },
    entries,
    async entry(matches) {
      for (let seen = 0; ; await once(logged, 'entry')) {
        for (; seen < entries.length; seen++) {
          const entry = entries[seen]
          if (entry !== undefined && matches(entry)) return entry
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
