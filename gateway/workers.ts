/**
 * Several gateways behind one port: this process only hands out connections (node:cluster) and keeps its workers alive.
 *
 * Connections are handed out in turn by the primary. The kernel could do that without it (SO_REUSEPORT), but it resets
 * the connections that wait at a socket that is closed, and a roll would fail requests.
 */
import type { Worker } from 'node:cluster'
import { setTimeout as delay } from 'node:timers/promises'
import type { Logger } from '#runtime/logger.ts'

export interface WorkersOptions {
  readonly count: number
  /** Starts a worker, which listens when it is ready to serve, and ends by itself when it is told to by an order. */
  readonly fork: () => Worker
  readonly logger: Logger
  /** Milliseconds until a worker that died is replaced; doubled, up to `maxRestartMs`, while its successors die young. */
  readonly restartMs?: number
  readonly maxRestartMs?: number
}

/** A worker that lived as long, in milliseconds, did not die of how it was started. */
const GROWN_UP_MS = 10_000

export interface Workers {
  /** Resolves when all listen. @throws when one ends before. */
  start(): Promise<void>
  /**
   * Replaces each worker by a new one, which reads its settings and files anew: the old one goes only when the new one
   * listens. A worker that does not come up leaves the rest as they are.
   */
  roll(): Promise<void>
  /** Asks all to drain, and resolves when they have ended. */
  stop(): Promise<void>
}

/** What the primary tells a worker: to stop with all the others, or to leave the port to another that has taken over. */
export const ORDERS = { stop: 'stop', leave: 'leave' } as const

export function superviseWorkers(options: WorkersOptions): Workers {
  const { count, fork, logger, restartMs = 100, maxRestartMs = 5000 } = options
  const workers = new Set<Worker>()
  const leaving = new WeakSet<Worker>()
  let isStopping = false
  let rolling: Promise<void> | undefined
  let failures = 0

  /** @throws when it ends before it listens. */
  async function open(): Promise<void> {
    const bornAt = performance.now()
    const worker = fork()
    workers.add(worker)
    worker.on('error', error => logger.error({ err: error, worker: worker.process.pid }, 'a worker cannot be reached'))
    const ended = endOf(worker).finally(() => workers.delete(worker))
    await Promise.race([
      new Promise(resolve => worker.once('listening', resolve)),
      ended.then(how => Promise.reject(new Error(`A worker ended with ${how} before it listened`))),
    ])
    void ended.then(how => {
      if (isStopping || leaving.has(worker)) return
      logger.error({ worker: worker.process.pid, how }, 'a worker died')
      failures = performance.now() - bornAt > GROWN_UP_MS ? 0 : failures + 1
      void replace()
    })
  }

  async function replace(): Promise<void> {
    for (;;) {
      await delay(Math.min(restartMs * 2 ** failures, maxRestartMs) * (0.5 + Math.random() / 2))
      if (isStopping) return
      try {
        return await open()
      } catch (error) {
        failures++
        logger.error({ err: error }, 'a worker cannot be started')
      }
    }
  }

  async function rollAll(): Promise<void> {
    logger.info({ workers: workers.size }, 'rolling the workers')
    for (const old of [...workers]) {
      if (isStopping || old.isDead()) continue
      await open()
      leaving.add(old)
      old.send(ORDERS.leave)
      await endOf(old)
    }
    logger.info({ workers: workers.size }, 'rolled the workers')
  }

  return {
    async start() {
      await Promise.all(Array.from({ length: count }, open))
    },
    roll() {
      rolling ??= rollAll().finally(() => {
        rolling = undefined
      })
      return rolling
    },
    async stop() {
      isStopping = true
      const ends = [...workers].map(endOf)
      for (const worker of workers) if (worker.isConnected()) worker.send(ORDERS.stop)
      await Promise.all(ends)
    },
  }
}

/** How the worker ended or will end: `exit code 1`, `SIGKILL`. */
async function endOf(worker: Worker): Promise<string> {
  if (!worker.isDead()) await new Promise(resolve => worker.once('exit', resolve))
  const { exitCode, signalCode } = worker.process
  return signalCode ?? `exit code ${exitCode}`
}
