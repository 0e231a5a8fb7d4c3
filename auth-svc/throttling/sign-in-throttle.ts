/**
 * Limits failed sign-ins by client address. An attempt reserves a token of the address's budget before its password is
 * verified; a failure consumes the token, any other result returns it. Attempts that find all remaining tokens reserved
 * wait, without a database connection or a bcrypt thread. While Redis is unavailable, each process counts on its own.
 */
import { randomUUID } from 'node:crypto'
import { networkOf, normalizeAddress } from '#runtime/ip-address.ts'
import type { Logger } from '#runtime/observability/logger.ts'
import type { Quota } from '#runtime/quota.ts'
import {
  attemptExpired,
  invalidCredentials,
  isInvalidCredentials,
  overloaded,
  redisUnavailable,
  requestCancelled,
  tooManyFailures,
  tooManyWaiting,
} from '../errors.ts'
import { type BudgetPolicy, msUntilNextToken, type ReserveOutcome } from './attempt-budget.ts'
import { createLocalBudget } from './local-budget.ts'
import type { RedisBudget } from './redis-budget.ts'
import { createWaitQueue } from './wait-queue.ts'

/** Result of a refused attempt, for metrics. */
export type Refusal = 'exhausted' | 'crowded' | 'overloaded'

export interface SignInThrottle {
  /**
   * Runs `verify` with a reservation. Its error `invalid_credentials` counts as a failure and is rethrown with the
   * remaining quota; other errors do not count.
   * @param address of the client; an IPv6 address counts as its /64. Attempts without a valid address share a budget.
   * @param signal ends the waiting with CANCELLED.
   * @throws StatusError RESOURCE_EXHAUSTED `rate_limited` if the budget is exhausted, or if the attempt got no
   *   reservation within 2 s or with 20 other attempts waiting; UNAVAILABLE `overloaded` if too many attempts of all
   *   addresses wait; UNAVAILABLE if Redis lost the reservation or failed, instead of the result of `verify`.
   */
  attempt<R>(address: string, signal: AbortSignal, verify: () => Promise<R>): Promise<R>
  /** Number of attempts that wait for a reservation. */
  readonly waiting: number
  /** Whether this process counts on its own because Redis is unavailable. */
  readonly isLocal: boolean
}

export interface SignInThrottleOptions {
  policy: BudgetPolicy
  budget: RedisBudget
  logger: Logger
  onRefusal?: (refusal: Refusal) => void
  /** Maximum number of attempts that wait in this process. Default 500. */
  maxWaiting?: number
  /** Time between two polls of a waiting attempt, in milliseconds. Default 100. */
  pollMs?: number
}

const QUOTA_NAME = 'sign-in'
/** Time for which Redis is not tried again after a failure, in milliseconds: a command may take a second to fail. */
const REDIS_PAUSE_MS = 500

/** A reservation in the budget of this process and, unless Redis was unavailable, in that of Redis. */
interface Reservation {
  readonly key: string
  readonly attempt: string
  readonly isShared: boolean
}

interface Reply {
  readonly outcome: ReserveOutcome
  readonly levelUs: number
  readonly isShared: boolean
}

export function createSignInThrottle(options: SignInThrottleOptions): SignInThrottle {
  const { policy, budget, logger, onRefusal, maxWaiting = 500, pollMs = 100 } = options
  const local = createLocalBudget({ policy })
  const queue = createWaitQueue({ timeoutMs: policy.waitUs / 1000, pollMs })
  /** In milliseconds of `performance.now()`. */
  let redisPausedUntil = 0
  let isLocal = false

  /** Runs an operation in Redis. @returns undefined if Redis is unavailable. */
  async function inRedis<R>(run: () => Promise<R>): Promise<{ reply: R } | undefined> {
    if (performance.now() < redisPausedUntil) return undefined
    try {
      const reply = await run()
      if (isLocal) logger.info('Redis is available for sign-in budgets; sharing them again')
      isLocal = false
      return { reply }
    } catch (error) {
      redisPausedUntil = performance.now() + REDIS_PAUSE_MS
      if (!isLocal) logger.warn({ err: error }, 'Redis is unavailable for sign-in budgets; counting in this process')
      isLocal = true
      return undefined
    }
  }

  /** The budget of this process is charged first: it has the failures that Redis may have lost. */
  async function reserve(key: string, attempt: string, isQueued: boolean): Promise<Reply> {
    const localLevel = local.levelUs(key)
    if (localLevel < policy.tokenUs) return { outcome: 'exhausted', levelUs: localLevel, isShared: false }
    const isHeld = !isQueued && local.reserve(key)
    const shared = await inRedis(() => budget.reserve(key, attempt, !isHeld))
    if (shared === undefined) {
      return { outcome: isHeld ? 'reserved' : 'waiting', levelUs: localLevel, isShared: false }
    }
    const { outcome, levelUs } = shared.reply
    if (isHeld && outcome !== 'reserved') local.settle(key, false)
    // The reply to an earlier `take` was lost.
    if (!isHeld && outcome === 'reserved') return { outcome: 'waiting', levelUs, isShared: true }
    return { outcome, levelUs, isShared: true }
  }

  /** @returns the reservation, or undefined if the attempt waits. @throws StatusError if it is refused. */
  async function tryReserve(key: string, attempt: string, isQueued: boolean): Promise<Reservation | undefined> {
    const { outcome, levelUs, isShared } = await reserve(key, attempt, isQueued)
    if (outcome === 'reserved') return { key, attempt, isShared }
    if (outcome === 'waiting') return undefined
    onRefusal?.(outcome)
    if (outcome === 'crowded') throw tooManyWaiting(quotaOf(0))
    throw tooManyFailures(quotaOf(levelUs), msUntilNextToken(policy, levelUs))
  }

  async function awaitReservation(key: string, signal: AbortSignal): Promise<Reservation> {
    const attempt = randomUUID()
    const reservation = await tryReserve(key, attempt, queue.has(key))
    if (reservation !== undefined) return reservation
    if (queue.size >= maxWaiting) {
      abandon(key, attempt)
      onRefusal?.('overloaded')
      throw overloaded(policy.waitUs / 1000)
    }
    const turn = await queue.wait(key, () => tryReserve(key, attempt, false), signal)
    if (turn !== undefined) return turn
    abandon(key, attempt)
    if (signal.aborted) throw requestCancelled()
    onRefusal?.('crowded')
    throw tooManyWaiting(quotaOf(0))
  }

  /** The entry in Redis expires if this fails. */
  function abandon(key: string, attempt: string): void {
    void inRedis(() => budget.release(key, attempt))
  }

  /** @throws StatusError UNAVAILABLE unless the reservation is still valid: the result must not reach the client then. */
  async function settle({ key, attempt, isShared }: Reservation, hasFailed: boolean): Promise<number> {
    const levelUs = local.settle(key, hasFailed)
    try {
      if (!isShared) return levelUs
      if (hasFailed) {
        const state = await budget.fail(key, attempt).catch(throwUnavailable)
        if (state === undefined) throw attemptExpired()
        return Math.min(levelUs, state.levelUs)
      }
      if (!(await budget.release(key, attempt).catch(throwUnavailable))) throw attemptExpired()
      return levelUs
    } finally {
      queue.wake(key)
    }
  }

  async function decide<R>(reservation: Reservation, verify: () => Promise<R>): Promise<R> {
    let result: R
    try {
      result = await verify()
    } catch (error) {
      if (isInvalidCredentials(error)) throw invalidCredentials(quotaOf(await settle(reservation, true)))
      settle(reservation, false).catch(ignore)
      throw error
    }
    await settle(reservation, false)
    return result
  }

  function quotaOf(levelUs: number): Quota {
    const { failures, tokenUs } = policy
    return {
      name: QUOTA_NAME,
      limit: failures,
      windowS: Math.ceil((failures * tokenUs) / 1e6),
      remaining: Math.floor(levelUs / tokenUs),
      resetS: Math.ceil(msUntilNextToken(policy, levelUs) / 1000),
    }
  }

  return {
    get waiting() {
      return queue.size
    },
    get isLocal() {
      return isLocal
    },
    async attempt(address, signal, verify) {
      const reservation = await awaitReservation(budgetKeyOf(address), signal)
      const { key, attempt } = reservation
      // A failed renewal is found out when the attempt is settled.
      const renewal = setInterval(() => {
        if (reservation.isShared) void budget.renew(key, attempt).catch(ignore)
      }, policy.holdUs / 4000)
      try {
        return await decide(reservation, verify)
      } finally {
        clearInterval(renewal)
      }
    },
  }
}

/** An IPv4 address or the /64 of an IPv6 address. */
function budgetKeyOf(address: string): string {
  const normalized = normalizeAddress(address)
  return normalized === undefined ? 'unknown' : networkOf(normalized)
}

function throwUnavailable(cause: unknown): never {
  throw redisUnavailable(cause)
}

function ignore(): void {}
