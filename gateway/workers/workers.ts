/**
 * Several gateways behind one port: this process only hands out connections (node:cluster) and keeps its workers alive.
 *
 * Connections are handed out in turn by the primary. The kernel could do that without it (SO_REUSEPORT), but it resets
 * the connections that wait at a socket that is closed, and a roll would fail requests.
 */
import type { Worker } from 'node:cluster'
import { setTimeout as delay } from 'node:timers/promises'
import type { Logger } from '#runtime/observability/logger.ts'

export interface WorkersOptions {
  readonly count: number
  /** Starts a worker, which listens when it is ready to serve, and ends by itself when it is told to by an order. */
  readonly fork: () => Worker
  readonly logger: Logger
  /** Milliseconds until a worker that died is replaced; doubled, up to `maxRestartMs`, while its successors die young. */
  readonly restartMs?: number
  readonly maxRestartMs?: number
  /** Milliseconds in which a worker listens, or counts as one that does not come up and is killed. */
  readonly openMs?: number
  /** Milliseconds in which a worker ends that was told to, or is killed. */
  readonly endMs?: number
}

/** A worker that lived as long, in milliseconds, did not die of how it was started. */
const GROWN_UP_MS = 10_000

export interface Workers {
  /** Resolves when all listen, or when it was told to stop. @throws when one ends before. */
  start(): Promise<void>
  /**
   * Replaces each worker by a new one, which reads its settings and files anew: the old one goes only when the new one
   * listens. Asked again meanwhile, it replaces also those that it has replaced before. A worker that does not come up
   * leaves the rest as they are.
   */
  roll(): Promise<void>
  /** Asks all to drain, and resolves when they have ended. */
  stop(): Promise<void>
}

/** What the primary tells a worker: to stop with all the others, or to leave the port to another that has taken over. */
export const ORDERS = { stop: 'stop', leave: 'leave' } as const

interface Member {
  readonly worker: Worker
  /** Of how many rolls it knows. */
  readonly generation: number
  /** Resolves when it listens. @throws when it ends before. */
  readonly opened: Promise<void>
  isListening: boolean
}

export function superviseWorkers(options: WorkersOptions): Workers {
  const { count, fork, logger, restartMs = 100, maxRestartMs = 5000, openMs = 30_000, endMs = 31_000 } = options
  /** Those that serve or will. One that was told to leave is none of them any more. */
  const members = new Set<Member>()
  const leaving = new Set<Worker>()
  let generation = 0
  let isStopping = false
  let rolling: Promise<void> | undefined
  let failures = 0

  /** @throws when it ends before it listens. */
  function open(): Promise<void> {
    const bornAt = performance.now()
    const worker = fork()
    worker.on('error', error => logger.error({ err: error, worker: worker.process.pid }, 'a worker cannot be reached'))
    const end = endOf(worker)
    const opened = Promise.race([
      new Promise<void>(resolve => worker.once('listening', () => resolve())),
      end.then(how => Promise.reject(new Error(`A worker ended with ${how} before it listened`))),
    ])
    const member: Member = { worker, generation, opened, isListening: false }
    members.add(member)
    const deadline = killLater(worker, openMs)
    opened.then(
      () => {
        member.isListening = true
        clearTimeout(deadline)
      },
      () => clearTimeout(deadline),
    )
    void end.then(how => {
      leaving.delete(worker)
      if (!members.delete(member) || isStopping || !member.isListening) return
      logger.error({ worker: worker.process.pid, how }, 'a worker died')
      failures = performance.now() - bornAt > GROWN_UP_MS ? 0 : failures + 1
      void fill()
    })
    return opened
  }

  /** Makes up for one that is missing, however often that takes. */
  async function fill(): Promise<void> {
    for (;;) {
      await delay(Math.min(restartMs * 2 ** failures, maxRestartMs) * (0.5 + Math.random() / 2))
      if (isStopping || members.size >= count) return
      try {
        return await open()
      } catch (error) {
        if (isStopping) return
        failures++
        logger.error({ err: error }, 'a worker cannot be started')
      }
    }
  }

  async function rollAll(): Promise<void> {
    logger.info({ workers: count }, 'rolling the workers')
    for (let old = outdated(); old !== undefined && !isStopping; old = outdated()) await succeed(old)
    if (!isStopping) logger.info({ workers: members.size }, 'rolled the workers')
  }

  const outdated = () => [...members].find(member => member.generation < generation)

  async function succeed(old: Member): Promise<void> {
    // It does not hear orders before.
    await old.opened.catch(() => {})
    if (isStopping) return
    const attempt = generation
    try {
      await open()
    } catch (error) {
      if (isStopping) return
      // The old one may have died meanwhile, and nobody made up for it while there was a successor.
      if (members.size < count) void fill()
      // Since then it was told to roll again: what kept this one from coming up may be mended.
      if (attempt < generation) return
      throw error
    }
    // One too many, unless a worker has died: the successor is its own then, and the old one's turn comes again.
    if (members.size > count && members.delete(old)) await leave(old.worker)
  }

  async function leave(worker: Worker): Promise<void> {
    leaving.add(worker)
    if (worker.isConnected()) worker.send(ORDERS.leave)
    await endInTime(worker)
  }

  /** Its own time to stop is over before; but not where its event loop stands still. */
  async function endInTime(worker: Worker): Promise<void> {
    const deadline = killLater(worker, endMs)
    await endOf(worker)
    clearTimeout(deadline)
  }

  function killLater(worker: Worker, ms: number): NodeJS.Timeout {
    return setTimeout(() => {
      logger.error({ worker: worker.process.pid, ms }, 'a worker hangs, and is killed')
      worker.process.kill('SIGKILL')
    }, ms)
  }

  return {
    async start() {
      try {
        await Promise.all(Array.from({ length: count }, open))
        logger.info({ workers: count }, 'the workers are listening')
      } catch (error) {
        if (!isStopping) throw error
      }
    },
    roll() {
      generation++
      rolling ??= rollAll().finally(() => {
        rolling = undefined
      })
      return rolling
    },
    async stop() {
      isStopping = true
      const ends = [...[...members].map(({ worker }) => worker), ...leaving].map(endInTime)
      for (const { worker, isListening } of members) {
        // One that does not listen does not hear orders yet.
        if (!isListening) worker.process.kill('SIGTERM')
        else if (worker.isConnected()) worker.send(ORDERS.stop)
      }
      await Promise.all(ends)
    },
  }
}

/** How the worker ended or will end: `exit code 1`, `SIGKILL`. */
async function endOf(worker: Worker): Promise<string> {
  if (!worker.isDead()) {
    await new Promise<void>(resolve => {
      worker.once('exit', () => resolve())
      // One that could not be made, as at the limit of processes, has no exit.
      worker.on('error', () => worker.isDead() && resolve())
    })
  }
  const { exitCode, signalCode } = worker.process
  return signalCode ?? `exit code ${exitCode}`
}
