import type { Redis } from 'ioredis'
import { withSpan } from '#runtime/observability/client-spans.ts'
import { activeSpanContext } from '#runtime/observability/spans.ts'
import { redisOperation } from '#runtime/process/redis.ts'
import type { BudgetPolicy, BudgetState, ReserveOutcome } from './attempt-budget.ts'
import { BUDGET_SCRIPT } from './budget-script.ts'

/** Budgets of failed attempts that all processes share. Each method rejects with the error of Redis. */
export interface RedisBudget {
  /**
   * Reserves a token for an attempt, or registers the attempt as waiting until `waitUs` have passed.
   * @param isQueued registers the attempt even if a token is available, because earlier attempts wait.
   */
  reserve(key: string, attempt: string, isQueued: boolean): Promise<BudgetState & { outcome: ReserveOutcome }>
  /** Extends a reservation. @returns false if it has expired. */
  renew(key: string, attempt: string): Promise<boolean>
  /** Charges a failed attempt. @returns undefined if its reservation has expired; nothing is charged then. */
  fail(key: string, attempt: string): Promise<BudgetState | undefined>
  /** Drops a reservation or a waiting attempt without a charge. @returns false if there was no reservation. */
  release(key: string, attempt: string): Promise<boolean>
}

interface Script {
  attemptBudget(key: string, ...args: (string | number)[]): Promise<[outcome: string, level: string]>
}

/** The Redis key of a budget. The hash tag keeps it in one slot of a cluster. */
export function budgetKey(key: string): string {
  return `gatehouse:sign-in:{${key}}`
}

/** Defines the command `attemptBudget` on the client. */
export function createRedisBudget(client: Redis, policy: BudgetPolicy): RedisBudget {
  const { failures, tokenUs, holdUs, waitUs, maxWaiting } = policy
  client.defineCommand('attemptBudget', { numberOfKeys: 1, lua: BUDGET_SCRIPT })
  const redis = client as Redis & Script
  const operation = redisOperation(redis, 'EVALSHA', 'attemptBudget')

  async function run(name: string, key: string, attempt: string): Promise<{ outcome: string; levelUs: number }> {
    const [outcome, level] = await withSpan(activeSpanContext(), operation, () =>
      redis.attemptBudget(budgetKey(key), name, attempt, failures, tokenUs, holdUs, waitUs, maxWaiting),
    )
    return { outcome, levelUs: Number(level) }
  }

  return {
    async reserve(key, attempt, isQueued) {
      const { outcome, levelUs } = await run(isQueued ? 'queue' : 'take', key, attempt)
      return { outcome: outcome as ReserveOutcome, levelUs }
    },
    async renew(key, attempt) {
      return (await run('renew', key, attempt)).outcome === 'reserved'
    },
    async fail(key, attempt) {
      const { outcome, levelUs } = await run('fail', key, attempt)
      return outcome === 'settled' ? { levelUs } : undefined
    },
    async release(key, attempt) {
      return (await run('release', key, attempt)).outcome === 'settled'
    },
  }
}
