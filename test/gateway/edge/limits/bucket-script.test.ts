/** The bucket in Redis against the bucket of token-bucket.ts, by Redis' own clock. */
import { setTimeout } from 'node:timers/promises'
import fc from 'fast-check'
import { Redis } from 'ioredis'
import t from 'tap'
import { TAKE } from '../../../../gateway/edge/limits/bucket-script.ts'
import { chargeOf } from '../../../../gateway/edge/limits/buckets.ts'
import { type BucketShape, bucketShape, isAdmitted, take } from '../../../../gateway/edge/limits/token-bucket.ts'
import { openTestRedis } from '../../../support/test-redis.ts'

const SECOND = 1e6
const redis = new Redis((await openTestRedis(t)).url)
t.teardown(() => redis.disconnect())

interface Seen {
  readonly outcome: number
  readonly stored: string
  readonly ttlMs: number
  /** Microseconds of Redis' clock. */
  readonly before: number
  readonly after: number
}

async function takeInRedis(key: string, shape: BucketShape, tokens: number): Promise<Seen> {
  const argument = chargeOf(shape, tokens).argument
  const results = await redis.multi().time().eval(TAKE, 1, key, argument).get(key).pttl(key).time().exec()
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

type Step = { kind: 'take' | 'refund'; share: number } | { kind: 'advance'; us: number }

const steps = fc.array(
  fc.oneof(
    fc.record({
      kind: fc.constantFrom('take' as const, 'refund' as const),
      share: fc.double({ min: 0, max: 1.2, noNaN: true }),
    }),
    fc.record({ kind: fc.constant('advance' as const), us: fc.integer({ min: 0, max: 100 * SECOND }) }),
  ),
  { minLength: 1, maxLength: 30, size: 'max' },
)

t.test('it decides as the reference does, to the unit', async () => {
  let number = 0
  await fc.assert(
    fc.asyncProperty(shapes, steps, async (shape: BucketShape, all: Step[]) => {
      const key = `bucket:${number++}`
      const state = { level: shape.capacity, at: 0 }
      for (const step of all) {
        if (step.kind === 'advance') {
          // What was long ago for the one was as long ago for the other.
          state.at -= step.us
          if ((await redis.exists(key)) === 1) {
            await redis.set(key, `${state.level}:${state.at}:${shape.perToken}`, 'PX', 60_000)
          }
          continue
        }
        const tokens = Math.max(1, Math.round(shape.tokens * step.share)) * (step.kind === 'refund' ? -1 : 1)
        const cost = tokens * shape.perToken
        const { outcome, stored, ttlMs, before, after } = await takeInRedis(key, shape, tokens)
        if (isAdmitted(outcome)) {
          const now = Number(stored.split(':')[1])
          const expected = take(state, shape, cost, now)
          if (outcome !== expected) throw new Error(`${outcome} rather than ${expected} at ${now}`)
          if (stored !== `${state.level}:${now}:${shape.perToken}` && stored !== 'null') throw new Error(stored)
          const untilFull = Math.max(1, Math.ceil((shape.capacity - state.level) / shape.gain / 1000))
          if (ttlMs > untilFull || ttlMs < Math.min(untilFull - 50, 60_000))
            throw new Error(`TTL ${ttlMs}, full in ${untilFull}`)
        } else {
          const [early, late] = [before, after].map(now => take({ ...state }, shape, cost, now)) as [number, number]
          if (isAdmitted(early)) throw new Error(`refused at ${outcome}, where there were ${early + cost}`)
          // A refusal says what is there, as `-1 - units`.
          if (outcome > early || (!isAdmitted(late) && outcome < late))
            throw new Error(`${outcome} is not in ${late}..${early}`)
        }
      }
    }),
    { numRuns: 150 },
  )
})

t.test('an empty bucket of a time to come fills from the first refusal on', async t => {
  const shape = bucketShape(2, 10, SECOND)
  const hourAhead = (Date.now() + 3_600_000) * 1000
  await redis.set('ahead', `0:${hourAhead}:${shape.perToken}`, 'PX', 60_000)
  const refused = await takeInRedis('ahead', shape, 1)
  t.notOk(isAdmitted(refused.outcome))
  const [level = '', at = ''] = refused.stored.split(':')
  t.equal(level, '0')
  t.ok(Number(at) >= refused.before && Number(at) <= refused.after)
  await setTimeout(110)
  t.ok(isAdmitted((await takeInRedis('ahead', shape, 1)).outcome))
})

t.test('many buckets in one call are decided each by itself, and one key twice one after the other', async t => {
  const shape = bucketShape(2, 1, 3600 * SECOND)
  const { argument } = chargeOf(shape, 1)
  const dear = chargeOf(shape, 2).argument
  const keys = ['m:a', 'm:b', 'm:a', 'm:a', 'm:b']
  const outcomes = (await redis.eval(TAKE, 5, ...keys, argument, dear, argument, argument, argument)) as number[]
  t.strictSame(outcomes.map(isAdmitted), [true, true, true, false, false])
})

t.test('a bucket that was written with another rate keeps its share of tokens', async t => {
  const old = bucketShape(100, 10, SECOND)
  const next = bucketShape(100, 100, 900 * SECOND)
  await redis.eval(TAKE, 1, 'rate', chargeOf(old, 90).argument)
  const [outcome = 0] = (await redis.eval(TAKE, 1, 'rate', chargeOf(next, 1).argument)) as number[]
  t.equal(Math.floor(outcome / next.perToken), 9)
})

t.test('what is no bucket is a full one, and does not fail the others', async t => {
  const shape = bucketShape(5, 5, SECOND)
  const { argument } = chargeOf(shape, 1)
  await redis.set('bad:text', 'nonsense')
  await redis.hset('bad:hash', 'a', 'b')
  const outcomes = (await redis.eval(TAKE, 2, 'bad:text', 'bad:hash', argument, argument)) as number[]
  t.strictSame(outcomes, [4 * shape.perToken, 4 * shape.perToken])
})

t.test('every bucket expires when it is full, so that who comes once leaves nothing', async t => {
  const shape = bucketShape(100, 10, SECOND)
  const { argument } = chargeOf(shape, 1)
  const keys = Array.from({ length: 1000 }, (_, n) => `expire:${n}`)
  await redis.eval(TAKE, keys.length, ...keys, ...keys.map(() => argument))
  const ttls = await Promise.all(keys.map(key => redis.pttl(key)))
  t.ok(
    ttls.every(ttl => ttl === -2 || (ttl >= 0 && ttl <= 100)),
    'one of a hundred tokens is back in 100 ms',
  )
})
