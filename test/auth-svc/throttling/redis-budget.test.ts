import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import { pino } from 'pino'
import t from 'tap'
import { createRedis } from '#runtime/process/redis.ts'
import type { BudgetPolicy } from '../../../auth-svc/throttling/attempt-budget.ts'
import { budgetKey, createRedisBudget } from '../../../auth-svc/throttling/redis-budget.ts'
import { assertProperty } from '../../support/property.ts'
import { openTestRedis } from '../../support/test-redis.ts'

t.setTimeout(120_000)

const SECOND = 1e6
// Long enough that the time which passes during a run does not matter: all times of the model are multiples of 10 s.
const policy: BudgetPolicy = {
  failures: 3,
  tokenUs: 1000 * SECOND,
  holdUs: 60 * SECOND,
  waitUs: 30 * SECOND,
  maxWaiting: 2,
}
const CAPACITY = policy.failures * policy.tokenUs
const ATTEMPTS = ['a', 'b', 'c', 'd', 'e', 'f']

const { url } = await openTestRedis(t)
const redis = createRedis(url, pino({ level: 'silent' }))
t.teardown(() => redis.disconnect())
const budget = createRedisBudget(redis, policy)

/** The expected state of a budget. Expiries are microseconds of the model's clock. */
interface Model {
  now: number
  /** Level at the time `at` of the last charge. */
  stored: number
  at: number
  holds: Map<string, number>
  waiting: Map<string, number>
}
interface Real {
  key: string
}

/** Changes the clock of the budget: shifts every time that it stores. */
async function shiftClock(key: string, us: number): Promise<void> {
  const name = budgetKey(key)
  for (const [field, value] of Object.entries(await redis.hgetall(name))) {
    if (field !== 'level') await redis.hset(name, field, String(Number(value) - us))
  }
}

function levelOf({ now, stored, at }: Model): number {
  return Math.min(CAPACITY, stored + now - at)
}

function charge(model: Model, tokens: number): void {
  if (tokens === 0) return
  // A clock that was set back may have undone the refill that a reservation was made of.
  model.stored = Math.max(0, levelOf(model) - tokens * policy.tokenUs)
  model.at = model.now
}

/** What each operation does first. A full budget is not stored. */
function expire(model: Model): void {
  if (levelOf(model) === CAPACITY) Object.assign(model, { stored: CAPACITY, at: model.now })
  for (const entries of [model.holds, model.waiting]) {
    for (const [attempt, expiry] of entries) if (expiry <= model.now) entries.delete(attempt)
  }
}

function expectedReserve(model: Model, attempt: string, isQueued: boolean): string {
  expire(model)
  const { holds, waiting, now } = model
  const level = levelOf(model)
  if (holds.has(attempt)) {
    holds.set(attempt, now + policy.holdUs)
    return 'reserved'
  }
  if (level < policy.tokenUs) {
    waiting.delete(attempt)
    return 'exhausted'
  }
  if (!isQueued && level >= (holds.size + 1) * policy.tokenUs) {
    holds.set(attempt, now + policy.holdUs)
    waiting.delete(attempt)
    return 'reserved'
  }
  if (waiting.has(attempt)) return 'waiting'
  if (waiting.size >= policy.maxWaiting) return 'crowded'
  waiting.set(attempt, now + policy.waitUs)
  return 'waiting'
}

function expectedSettle(model: Model, attempt: string, hasFailed: boolean): boolean {
  expire(model)
  const isHeld = model.holds.delete(attempt)
  model.waiting.delete(attempt)
  if (isHeld && hasFailed) charge(model, 1)
  return isHeld
}

type Command = fc.AsyncCommand<Model, Real>

function command(name: string, run: (model: Model, real: Real) => Promise<void>): Command {
  return { check: () => true, run, toString: () => name }
}

function assertEqual(actual: unknown, expected: unknown, model: Model): void {
  if (JSON.stringify(actual) === JSON.stringify(expected)) return
  const { holds, waiting } = model
  const state = JSON.stringify({ level: levelOf(model), holds: [...holds], waiting: [...waiting] })
  throw new Error(`${JSON.stringify(actual)} instead of ${JSON.stringify(expected)}; model ${state}`)
}

const attemptArbitrary = fc.constantFrom(...ATTEMPTS)

const commands = [
  fc.tuple(attemptArbitrary, fc.boolean()).map(([attempt, isQueued]) =>
    command(`reserve(${attempt}, ${isQueued})`, async (model, { key }) => {
      const expected = expectedReserve(model, attempt, isQueued)
      assertEqual((await budget.reserve(key, attempt, isQueued)).outcome, expected, model)
    }),
  ),
  attemptArbitrary.map(attempt =>
    command(`renew(${attempt})`, async (model, { key }) => {
      expire(model)
      const isHeld = model.holds.has(attempt)
      if (isHeld) model.holds.set(attempt, model.now + policy.holdUs)
      assertEqual(await budget.renew(key, attempt), isHeld, model)
    }),
  ),
  attemptArbitrary.map(attempt =>
    command(`fail(${attempt})`, async (model, { key }) => {
      const expected = expectedSettle(model, attempt, true)
      assertEqual((await budget.fail(key, attempt)) !== undefined, expected, model)
    }),
  ),
  attemptArbitrary.map(attempt =>
    command(`release(${attempt})`, async (model, { key }) => {
      const expected = expectedSettle(model, attempt, false)
      assertEqual(await budget.release(key, attempt), expected, model)
    }),
  ),
  // Guesses that arrive at once: as many proceed as there are free tokens.
  fc.integer({ min: 2, max: 8 }).map(count =>
    command(`guess in parallel(${count})`, async (model, { key }) => {
      expire(model)
      const free = Math.max(0, Math.floor(levelOf(model) / policy.tokenUs) - model.holds.size)
      const attempts = Array.from({ length: count }, () => randomUUID())
      const replies = await Promise.all(attempts.map(attempt => budget.reserve(key, attempt, false)))
      const reserved = attempts.filter((_, index) => replies[index]?.outcome === 'reserved')
      assertEqual(reserved.length, Math.min(count, free), model)
      await Promise.all(attempts.map(attempt => budget.fail(key, attempt)))
      charge(model, reserved.length)
    }),
  ),
  // A holder that crashes neither renews nor settles: time passes.
  fc.constantFrom(20, 40, 70, 1100).map(seconds =>
    command(`pass(${seconds} s)`, async (model, { key }) => {
      await shiftClock(key, seconds * SECOND)
      model.now += seconds * SECOND
    }),
  ),
  fc.constantFrom(100, 5000).map(seconds =>
    command(`set the clock back(${seconds} s)`, async (model, { key }) => {
      // Any operation removes what has expired before, and stores the new times after.
      expire(model)
      await budget.release(key, 'nobody')
      await shiftClock(key, -seconds * SECOND)
      // Refill that was not stored is undone, none else is lost, and an entry expires at most its full span later.
      model.at = Math.min(model.now, model.at + seconds * SECOND)
      for (const [entries, span] of [
        [model.holds, policy.holdUs],
        [model.waiting, policy.waitUs],
      ] as const) {
        for (const attempt of entries.keys()) entries.set(attempt, model.now + span)
      }
      await budget.release(key, 'nobody')
    }),
  ),
]

t.test('any sequence of operations, crashes, pauses and clock changes leaves a budget as the model has it', async t => {
  const property = fc.asyncProperty(fc.commands(commands, { maxCommands: 60, size: 'max' }), sequence =>
    fc.asyncModelRun(() => {
      const model = { now: 0, stored: CAPACITY, at: 0, holds: new Map(), waiting: new Map() }
      return { model, real: { key: randomUUID() } }
    }, sequence),
  )
  await assertProperty(t, property, { numRuns: 200 })
})

t.test('a failed attempt charges one token, and an unused full budget is removed from Redis', async t => {
  const key = randomUUID()
  t.strictSame(await budget.reserve(key, 'a', false), { outcome: 'reserved', levelUs: CAPACITY })
  t.match(await budget.fail(key, 'a'), { levelUs: CAPACITY - policy.tokenUs })
  t.equal(await budget.fail(key, 'a'), undefined, 'only once')
  const ttl = await redis.pttl(budgetKey(key))
  t.ok(ttl > 990_000 && ttl <= 1_000_001, `expires when it is full: ${ttl} ms`)

  const other = randomUUID()
  await budget.reserve(other, 'a', false)
  t.equal(await budget.release(other, 'a'), true)
  t.equal(await redis.exists(budgetKey(other)), 0)
})
