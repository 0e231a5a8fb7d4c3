/**
 * Follows the contract of an upstream by reflection: reads it, retries while that fails, and reads it again when the
 * connection comes back (the server may have been replaced) or at an interval.
 *
 * It has a connection of its own, to one server. When an upstream of several servers is replaced one by one, that connection
 * is lost with the last server that it was on, so the last read is of a new one.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { ContractError } from '#runtime/grpc/contract.ts'
import type { Logger } from '#runtime/observability/logger.ts'
import { StatusError } from '#runtime/status.ts'
import { type GrpcJsOptions, openGrpcJsClient } from '../grpc-js/client.ts'
import { createBackoff } from '../http2/backoff.ts'
import { watchConnection } from './connection-watch.ts'
import { readByReflection } from './reflection-client.ts'
import type { ReflectionSettings } from './reflection-config.ts'

/** From 0.5 s to 30 s, with jitter of 20 %. */
const BACKOFF = { initialMs: 500, maxMs: 30_000 }
/** Reads after a reconnection start within this time in milliseconds, so that all gateways do not read at once. */
const SPREAD_MS = 1000

/** `failed`: the contract could not be read. `unchanged`: it is the last one offered. */
export type ReadOutcome = 'accepted' | 'refused' | 'unchanged' | 'failed'

export interface ContractSourceOptions {
  /** Name of the upstream. */
  readonly name: string
  readonly connection: GrpcJsOptions
  readonly services: readonly string[]
  readonly settings: ReflectionSettings
  readonly logger: Pick<Logger, 'warn' | 'error'>
  /**
   * Takes a contract that differs from the last one offered.
   * @param isFirstAttempt whether this is the result of the first attempt to read it.
   * @returns whether it is in use now.
   */
  readonly offer: (image: Uint8Array, isFirstAttempt: boolean) => Promise<boolean>
  readonly onRead: (outcome: ReadOutcome, problem: string | undefined) => void
}

export interface ContractSource {
  /** Resolves when the contract was read and offered, or the first attempt has failed. */
  readonly attempted: Promise<void>
  /** Closes the connection. No contract is offered afterwards. */
  stop(): void
}

/** Starts to read. @param known the contract that is in use already. */
export function followContract(options: ContractSourceOptions, known: Uint8Array | undefined): ContractSource {
  const { name, settings, services, logger, offer, onRead } = options
  const { origin = name } = options.connection
  const client = openGrpcJsClient({ ...options.connection, connection: 'own', maxMessageLength: settings.maxBytes })
  const watch = watchConnection(client)
  const stopped = new AbortController()
  const attempted = Promise.withResolvers<void>()
  const backoff = createBackoff(BACKOFF)
  let latest = known

  async function attempt(isFirstAttempt: boolean): Promise<ReadOutcome> {
    try {
      const image = await readByReflection(client, { ...settings, services, origin })
      if (stopped.signal.aborted) return 'unchanged'
      if (latest !== undefined && Buffer.compare(image, latest) === 0) return report('unchanged')
      const isAccepted = await offer(image, isFirstAttempt)
      latest = image
      return report(isAccepted ? 'accepted' : 'refused')
    } catch (error) {
      if (stopped.signal.aborted) return 'failed'
      const isExpected = error instanceof ContractError || error instanceof StatusError
      const problem = error instanceof Error ? error.message : String(error)
      // A defect, or a malformed descriptor, has a stack.
      logger.warn(
        { upstream: name, problem, ...(!isExpected && { err: error }) },
        'contract not read by reflection; retrying',
      )
      return report('failed', problem)
    }
  }

  function report(outcome: ReadOutcome, problem?: string): ReadOutcome {
    onRead(outcome, problem)
    return outcome
  }

  /** Resolves when it is time for the next attempt. */
  async function pause(afterMs: number | undefined): Promise<void> {
    const over = new AbortController()
    const signal = AbortSignal.any([over.signal, stopped.signal])
    const timer = afterMs === undefined ? [] : [delay(afterMs, undefined, { signal }).then(() => 0)]
    const reconnection = watch.reconnected(signal).then(() => SPREAD_MS * Math.random())
    const spreadMs = await Promise.race([...timer, reconnection]).catch(() => 0)
    over.abort()
    await delay(spreadMs, undefined, { signal: stopped.signal }).catch(() => {})
  }

  async function run(): Promise<void> {
    for (let count = 0; !stopped.signal.aborted; count++) {
      const outcome = await attempt(count === 0)
      attempted.resolve()
      if (outcome !== 'failed') backoff.reset()
      await pause(outcome === 'failed' ? backoff.next() : settings.intervalMs && jittered(settings.intervalMs))
    }
  }

  run().catch(error => logger.error({ upstream: name, err: error }, 'contract is no longer followed'))
  return {
    attempted: attempted.promise,
    stop() {
      stopped.abort()
      attempted.resolve()
      client.close()
    },
  }
}

/** Plus or minus 10 %. */
function jittered(ms: number): number {
  return ms * (0.9 + 0.2 * Math.random())
}
