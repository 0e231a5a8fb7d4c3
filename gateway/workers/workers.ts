/**
 * Supervises the worker processes of the gateway: starts them, replaces those that exit, and restarts them one by one.
 *
 * The primary accepts the connections and distributes them round robin (node:cluster). With SO_REUSEPORT, the kernel
 * would reset the connections in the backlog of a worker that exits, so that a rolling restart would fail requests.
 */
import type { Worker } from 'node:cluster'
import { setTimeout as delay } from 'node:timers/promises'
import type { Logger } from '#runtime/observability/logger.ts'

export interface WorkersOptions {
  readonly count: number
  /** Forks a worker. It must listen when it is ready to serve, and exit after it receives a command. */
  readonly fork: () => Worker
  readonly logger: Logger
  /** Delay before a worker is replaced, in milliseconds, minus up to 50 %. Doubled per consecutive failure. Default 100. */
  readonly restartDelayMs?: number
  /** Maximum of `restartDelayMs` after doubling, in milliseconds. Default 5,000. */
  readonly maxRestartDelayMs?: number
  /** Time for a worker to listen, in milliseconds. After that, it is killed and counts as failed. Default 30,000. */
  readonly startTimeoutMs?: number
  /** Time for a worker to exit after a command, in milliseconds. After that, it is killed. Default 31,000. */
  readonly stopTimeoutMs?: number
}

/** A worker that has run for this long, in milliseconds, resets the restart delay. */
const STABLE_AFTER_MS = 10_000

export interface Workers {
  /** Resolves when all workers listen, or when `stop` is called. @throws if a worker exits before it listens. */
  start(): Promise<void>
  /**
   * Rolling restart: replaces each worker by a new one, which reads the settings and files again. A worker is retired
   * only after its replacement listens. A call during a rolling restart extends it to the workers forked before the call.
   * @throws if a replacement exits before it listens. The workers that were not replaced yet continue to run.
   */
  roll(): Promise<void>
  /** Drains all workers. Resolves when they have exited. */
  stop(): Promise<void>
}

/**
 * Messages from the primary to a worker. `stop`: drain, because the gateway stops. `retire`: drain, but stay ready,
 * because another worker serves the port. Keep the values: after an update a primary can have newer workers.
 */
export const WORKER_COMMANDS = { stop: 'stop', retire: 'leave' } as const

interface Member {
  readonly worker: Worker
  /** Number of rolling restarts requested before the worker was forked. */
  readonly generation: number
  /** Resolves when the worker listens. Rejects if it exits before. */
  readonly listening: Promise<void>
  isListening: boolean
}

/** Creates a supervisor. It forks no worker before `start`. */
export function superviseWorkers(options: WorkersOptions): Workers {
  const { count, fork, logger, restartDelayMs = 100, maxRestartDelayMs = 5000 } = options
  const { startTimeoutMs = 30_000, stopTimeoutMs = 31_000 } = options
  /** Workers that serve or are starting. A retired worker is not a member. */
  const members = new Set<Member>()
  const retiring = new Set<Worker>()
  let generation = 0
  let isStopping = false
  let rolling: Promise<void> | undefined
  let consecutiveFailures = 0

  function startWorker(): Promise<void> {
    const forkedAt = performance.now()
    const worker = fork()
    worker.on('error', error =>
      logger.error(
        { err: error, worker: worker.process.pid },
        'worker could not be forked or did not receive a message',
      ),
    )
    const exited = exitOf(worker)
    const listening = Promise.race([
      new Promise<void>(resolve => worker.once('listening', () => resolve())),
      exited.then(exit => Promise.reject(new Error(`Worker exited before it listened: ${exit}`))),
    ])
    const member: Member = { worker, generation, listening, isListening: false }
    members.add(member)
    const killTimer = killAfter(worker, startTimeoutMs)
    listening.then(
      () => {
        member.isListening = true
        clearTimeout(killTimer)
      },
      () => clearTimeout(killTimer),
    )
    void exited.then(exit => {
      retiring.delete(worker)
      if (!members.delete(member) || isStopping || !member.isListening) return
      logger.error({ worker: worker.process.pid, exit }, 'worker exited unexpectedly; replacing it')
      consecutiveFailures = performance.now() - forkedAt > STABLE_AFTER_MS ? 0 : consecutiveFailures + 1
      void replaceMissing()
    })
    return listening
  }

  /** Starts one worker if fewer than `count` are members. Retries until it listens. */
  async function replaceMissing(): Promise<void> {
    for (;;) {
      const maxDelayMs = Math.min(restartDelayMs * 2 ** consecutiveFailures, maxRestartDelayMs)
      await delay(maxDelayMs * (0.5 + Math.random() / 2))
      if (isStopping) return
      if (members.size >= count) {
        logger.debug('no replacement needed; the rolling restart has forked another worker')
        return
      }
      try {
        return await startWorker()
      } catch (error) {
        if (isStopping) return
        consecutiveFailures++
        logger.error({ err: error }, 'worker failed to start; retrying')
      }
    }
  }

  async function replaceOutdated(): Promise<void> {
    logger.info({ workers: count }, 'rolling restart started')
    for (let old = findOutdated(); old !== undefined && !isStopping; old = findOutdated()) await replaceWorker(old)
    if (!isStopping) logger.info({ workers: members.size }, 'rolling restart completed')
  }

  const findOutdated = () => [...members].find(member => member.generation < generation)

  async function replaceWorker(old: Member): Promise<void> {
    // A worker that does not listen yet may not handle commands.
    await old.listening.catch(() => {})
    if (isStopping) return
    const startedGeneration = generation
    try {
      await startWorker()
    } catch (error) {
      if (isStopping) return
      // If the old worker exited meanwhile, `replaceMissing` counted the failed replacement and did nothing.
      if (members.size < count) void replaceMissing()
      // Another rolling restart was requested meanwhile, possibly because the cause of the failure is fixed: try again.
      if (startedGeneration < generation) return
      throw error
    }
    // If another worker exited meanwhile, the new worker takes its place, and `old` is still outdated: it is next again.
    if (members.size > count && members.delete(old)) await retire(old.worker)
  }

  async function retire(worker: Worker): Promise<void> {
    retiring.add(worker)
    if (worker.isConnected()) worker.send(WORKER_COMMANDS.retire)
    await exitInTime(worker)
  }

  /** Waits for the exit. Kills the worker after `stopTimeoutMs`, which happens if its event loop is blocked. */
  async function exitInTime(worker: Worker): Promise<void> {
    const killTimer = killAfter(worker, stopTimeoutMs)
    await exitOf(worker)
    clearTimeout(killTimer)
  }

  function killAfter(worker: Worker, timeoutMs: number): NodeJS.Timeout {
    return setTimeout(() => {
      logger.error({ worker: worker.process.pid, timeoutMs }, 'worker did not start or stop in time; killing it')
      worker.process.kill('SIGKILL')
    }, timeoutMs)
  }

  return {
    async start() {
      try {
        await Promise.all(Array.from({ length: count }, startWorker))
        logger.info({ workers: count }, 'all workers listening')
      } catch (error) {
        if (!isStopping) throw error
      }
    },
    roll() {
      generation++
      rolling ??= replaceOutdated().finally(() => {
        rolling = undefined
      })
      return rolling
    },
    async stop() {
      isStopping = true
      const exits = [...[...members].map(({ worker }) => worker), ...retiring].map(exitInTime)
      for (const { worker, isListening } of members) {
        // A worker that does not listen yet may not handle commands.
        if (!isListening) worker.process.kill('SIGTERM')
        else if (worker.isConnected()) worker.send(WORKER_COMMANDS.stop)
      }
      await Promise.all(exits)
    },
  }
}

/** Waits for the exit of a worker. Returns `exit code 1` or the signal, such as `SIGKILL`. */
async function exitOf(worker: Worker): Promise<string> {
  if (!worker.isDead()) {
    await new Promise<void>(resolve => {
      worker.once('exit', () => resolve())
      // A worker that could not be forked, for example because of the process limit, emits no `exit` event.
      worker.on('error', () => worker.isDead() && resolve())
    })
  }
  const { exitCode, signalCode } = worker.process
  return signalCode ?? `exit code ${exitCode}`
}
