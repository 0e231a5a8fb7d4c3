/** Replaces the generation that serves: one replacement at a time, and only by a generation that could be built. */

import { ContractError } from '#runtime/grpc/contract.ts'
import type { Logger } from '#runtime/observability/logger.ts'
import { SettingsError } from '#runtime/process/env.ts'
import type { Configuration } from './configuration.ts'
import type { Generation } from './generation.ts'

/**
 * Maximum number of replaced generations that still have requests in progress, such as streams. Beyond it, the streams of
 * the oldest one end with an error that asks the client to open them again.
 */
const MAX_RETIRING = 4

export type ReloadOutcome = 'success' | 'failure'

export interface ReloaderOptions {
  readonly build: (configuration: Configuration) => Promise<Generation>
  /** Directs new requests to the generation. */
  readonly serve: (generation: Generation) => void
  readonly logger: Logger
  /** Called after each attempt to replace the first generation. */
  readonly onReload: (outcome: ReloadOutcome) => void
}

export interface Reloader {
  readonly current: Generation
  /**
   * Replaces the generation after those requested before.
   * @param change returns the next configuration from the current one. If it throws, or the generation cannot be built, the
   * current one stays, and the reason is logged.
   * @param reason why, for the log.
   */
  replace(change: (current: Configuration) => Configuration, reason: string): Promise<ReloadOutcome>
  /** Ends the open streams of all generations after `graceMs` milliseconds. */
  endStreams(graceMs: number): Promise<void>
  /** Closes all generations, after their requests have ended. */
  close(): Promise<void>
}

/** Serves the first generation. @throws if it cannot be built. */
export async function createReloader(first: Configuration, options: ReloaderOptions): Promise<Reloader> {
  const { build, serve, logger, onReload } = options
  let current = await build(first)
  serve(current)
  /** From old to new. */
  const retiring = new Map<Generation, Promise<void>>()
  let pending: Promise<unknown> = Promise.resolve()
  let isClosed = false

  async function replaceNow(change: (current: Configuration) => Configuration, reason: string): Promise<ReloadOutcome> {
    if (isClosed) return 'failure'
    try {
      const next = await build(change(current.configuration))
      const old = current
      current = next
      serve(next)
      retire(old)
      logger.info({ reason, routes: next.routes.length }, 'configuration reloaded')
      onReload('success')
      return 'success'
    } catch (error) {
      // A defect has a stack; an invalid configuration has a message that says everything.
      const isInvalid = error instanceof SettingsError || error instanceof ContractError
      const cause = isInvalid ? { problem: error.message } : { err: error }
      logger.error({ reason, ...cause }, 'configuration not reloaded; the current one stays in use')
      onReload('failure')
      return 'failure'
    }
  }

  function retire(generation: Generation): void {
    const closed = generation
      .close()
      .catch(error => logger.error({ err: error }, 'replaced configuration not closed'))
      .finally(() => retiring.delete(generation))
    retiring.set(generation, closed)
    const excess = [...retiring.keys()].slice(0, -MAX_RETIRING)
    for (const old of excess) void old.endStreams(0)
  }

  return {
    get current() {
      return current
    },
    replace(change, reason) {
      const outcome = pending.then(() => replaceNow(change, reason))
      pending = outcome
      return outcome
    },
    async endStreams(graceMs) {
      await Promise.all([current, ...retiring.keys()].map(generation => generation.endStreams(graceMs)))
    },
    async close() {
      isClosed = true
      await pending
      await Promise.all([current.close(), ...retiring.values()])
    },
  }
}
