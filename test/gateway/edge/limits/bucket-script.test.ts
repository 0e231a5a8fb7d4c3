/** The Redis script, compared with `chargeBucket` by the clock of Redis. */
import { setTimeout } from 'node:timers/promises'
import fc from 'fast-check'
import { Redis } from 'ioredis'
import t from 'tap'
import { CHARGE_SCRIPT } from '../../../../gateway/edge/limits/bucket-script.ts'
import { createCharge } from '../../../../gateway/edge/limits/buckets.ts'
import {
  type BucketShape,
  bucketShape,
  chargeBucket,
  isAdmitted,
} from '../../../../gateway/edge/limits/token-bucket.ts'
import { openTestRedis } from '../../../support/test-redis.ts'

const SECOND = 1e6
const redis = new Redis((await openTestRedis(t)).url)
t.teardown(() => redis.disconnect())

/** The result of one charge in Redis. */
interface RedisCharge {
  readonly outcome: number
  readonly stored: string
  readonly ttlMs: number
  /** The clock of Redis before and after the charge, in microseconds. */
  readonly before: number
  readonly after: number
}

async function chargeInRedis(key: string, shape: BucketShape, tokens: number): Promise<RedisCharge> {
  const argument = createCharge(shape, tokens).argument
  const results = await redis.multi().time().eval(CHARGE_SCRIPT, 1, key, argument).get(key).pttl(key).time().exec()
  const [before, outcomes, stored, ttlMs, after] = (results ?? []).map(([error, value]) => {
    if (error !== null) throw error
    return value
  })
  return {
    outcome: (outcomes as number[])[0] as number,
    stored: String(stored),
    ttlMs: Number(ttlMs),
    before: microseconds(before),
    after: microseconds(after),
  }
}

function microseconds(time: unknown): number {
  const [seconds, rest] = time as [number, number]
  return Number(seconds) * SECOND + Number(rest)
}

const shapes = fc
  .tuple(
    fc.integer({ min: 1, max: 1_000_000 }),
    fc.integer({ min: 1, max: 1000 }),
    fc.constantFrom(1000, 7, SECOND, 3 * SECOND, 900 * SECOND),
  )
  .map(([tokens, refill, period]) => bucketShape(tokens, refill, period))

type Step = { kind: 'charge' | 'refund'; share: number } | { kind: 'advance'; us: number }

const steps = fc.array(
  fc.oneof(
    fc.record({
      kind: fc.constantFrom('charge' as const, 'refund' as const),
      share: fc.double({ min: 0, max: 1.2, noNaN: true }),
    }),
    fc.record({ kind: fc.constant('advance' as const), us: fc.integer({ min: 0, max: 100 * SECOND }) }),
  ),
  { minLength: 1, maxLength: 30, size: 'max' },
)

t.test('the script returns and stores the same levels as chargeBucket, to the unit', async t => {
  let number = 0
  await fc.assert(
    fc.asyncProperty(shapes, steps, async (shape: BucketShape, all: Step[]) => {
      const key = `bucket:${number++}`
      const state = { level: shape.capacityUnits, at: 0 }
      for (const step of all) {
        if (step.kind === 'advance') {
          // Time passes for both buckets: the stored time moves back.
          state.at -= step.us
          if ((await redis.exists(key)) === 1) {
            await redis.set(key, `${state.level}:${state.at}:${shape.unitsPerToken}`, 'PX', 60_000)
          }
          continue
        }
        const tokens = Math.max(1, Math.round(shape.capacityTokens * step.share)) * (step.kind === 'refund' ? -1 : 1)
        const cost = tokens * shape.unitsPerToken
        const { outcome, stored, ttlMs, before, after } = await chargeInRedis(key, shape, tokens)
        if (isAdmitted(outcome)) {
          const now = Number(stored.split(':')[1])
          const expected = chargeBucket(state, shape, cost, now)
          if (outcome !== expected) throw new Error(`outcome ${outcome} instead of ${expected} at ${now}`)
          if (stored !== `${state.level}:${now}:${shape.unitsPerToken}` && stored !== 'null') throw new Error(stored)
          const untilFull = Math.max(1, Math.ceil((shape.capacityUnits - state.level) / shape.refillPerUs / 1000))
          if (ttlMs > untilFull || ttlMs < Math.min(untilFull - 50, 60_000))
            throw new Error(`TTL ${ttlMs} ms, but full in ${untilFull} ms`)
        } else {
          const [early, late] = [before, after].map(now => chargeBucket({ ...state }, shape, cost, now)) as [
            number,
            number,
          ]
          if (isAdmitted(early)) throw new Error(`rejected with ${outcome}, although the bucket held ${early + cost}`)
          // A rejection is `-1 - units`.
          if (outcome > early || (!isAdmitted(late) && outcome < late))
            throw new Error(`outcome ${outcome} is not in ${late}..${early}`)
        }
      }
    }),
    { numRuns: 150 },
  )
  t.equal(number, 150, 'number of runs')
})

t.test('an empty bucket with a time in the future refills from the first rejected charge on', async t => {
  const shape = bucketShape(2, 10, SECOND)
  const hourAhead = (Date.now() + 3_600_000) * 1000
  await redis.set('ahead', `0:${hourAhead}:${shape.unitsPerToken}`, 'PX', 60_000)
  const rejected = await chargeInRedis('ahead', shape, 1)
  t.notOk(isAdmitted(rejected.outcome))
  const [level = '', at = ''] = rejected.stored.split(':')
  t.equal(level, '0')
  t.ok(Number(at) >= rejected.before && Number(at) <= rejected.after)
  await setTimeout(110)
  t.ok(isAdmitted((await chargeInRedis('ahead', shape, 1)).outcome))
})

t.test('one call charges each bucket separately, and a repeated key in order', async t => {
  const shape = bucketShape(2, 1, 3600 * SECOND)
  const { argument } = createCharge(shape, 1)
  const doubleArgument = createCharge(shape, 2).argument
  const keys = ['m:a', 'm:b', 'm:a', 'm:a', 'm:b']
  const outcomes = (await redis.eval(
    CHARGE_SCRIPT,
    5,
    ...keys,
    argument,
    doubleArgument,
    argument,
    argument,
    argument,
  )) as number[]
  t.strictSame(outcomes.map(isAdmitted), [true, true, true, false, false])
})

t.test('a bucket stored with another refill rate keeps its number of tokens', async t => {
  const old = bucketShape(100, 10, SECOND)
  const next = bucketShape(100, 100, 900 * SECOND)
  await redis.eval(CHARGE_SCRIPT, 1, 'rate', createCharge(old, 90).argument)
  const [outcome = 0] = (await redis.eval(CHARGE_SCRIPT, 1, 'rate', createCharge(next, 1).argument)) as number[]
  t.equal(Math.floor(outcome / next.unitsPerToken), 9)
})

t.test('a key that holds no bucket counts as a full bucket and does not fail the call', async t => {
  const shape = bucketShape(5, 5, SECOND)
  const { argument } = createCharge(shape, 1)
  await redis.set('bad:text', 'nonsense')
  await redis.hset('bad:hash', 'a', 'b')
  const outcomes = (await redis.eval(CHARGE_SCRIPT, 2, 'bad:text', 'bad:hash', argument, argument)) as number[]
  t.strictSame(outcomes, [4 * shape.unitsPerToken, 4 * shape.unitsPerToken])
})

t.test('every bucket expires when it is full', async t => {
  const shape = bucketShape(100, 10, SECOND)
  const { argument } = createCharge(shape, 1)
  const keys = Array.from({ length: 1000 }, (_, n) => `expire:${n}`)
  await redis.eval(CHARGE_SCRIPT, keys.length, ...keys, ...keys.map(() => argument))
  const ttls = await Promise.all(keys.map(key => redis.pttl(key)))
  t.ok(
    ttls.every(ttl => ttl === -2 || (ttl >= 0 && ttl <= 100)),
    'one token is refilled within 100 ms',
  )
})
