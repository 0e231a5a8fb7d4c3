import fc from 'fast-check'
import t from 'tap'
import {
  type BucketShape,
  bucketShape,
  isAdmitted,
  remainingTokens,
  take,
  waitMs,
} from '../../../../gateway/edge/limits/token-bucket.ts'

const SECOND = 1e6

function admit(state: { level: number; at: number }, shape: BucketShape, tokens: number, now: number): boolean {
  return isAdmitted(take(state, shape, tokens * shape.perToken, now))
}

t.test('five at once, then one each three minutes', async t => {
  const shape = bucketShape(5, 5, 900 * SECOND)
  const state = { level: shape.capacity, at: 0 }
  for (let n = 0; n < 5; n++) t.ok(admit(state, shape, 1, 0))
  t.notOk(admit(state, shape, 1, 0))
  t.notOk(admit(state, shape, 1, 180 * SECOND - 1), 'not a microsecond too soon')
  t.ok(admit(state, shape, 1, 180 * SECOND))
  t.notOk(admit(state, shape, 1, 180 * SECOND))
})

t.test('what is left and how long to wait', async t => {
  const shape = bucketShape(100, 10, SECOND)
  const state = { level: shape.capacity, at: 0 }
  const cost = shape.perToken
  const first = take(state, shape, cost, 0)
  t.equal(remainingTokens(shape, first), 99)
  t.equal(waitMs(shape, first, cost), 100, 'until the next token')
  const dear = 99 * shape.perToken
  take(state, shape, dear, 0)
  const refused = take(state, shape, 30 * shape.perToken, 0.5 * SECOND)
  t.notOk(isAdmitted(refused))
  t.equal(remainingTokens(shape, refused), 5)
  t.equal(waitMs(shape, refused, 30 * shape.perToken), 2500, 'until there are enough')
})

t.test('a refund brings no more than was there', async t => {
  const shape = bucketShape(5, 5, SECOND)
  const state = { level: shape.capacity, at: 0 }
  take(state, shape, shape.perToken, 0)
  for (let n = 0; n < 3; n++) take(state, shape, -shape.perToken, 0)
  t.equal(state.level, shape.capacity)
})

t.test('a clock that is set back neither brings nor takes', async t => {
  const shape = bucketShape(2, 1, SECOND)
  const state = { level: shape.capacity, at: 100 * SECOND }
  t.ok(admit(state, shape, 2, 0))
  t.notOk(admit(state, shape, 1, 0))
  t.ok(admit(state, shape, 1, SECOND), 'it goes on from there')
})

t.test('an empty bucket fills by a clock that was set back, refused or not', async t => {
  const shape = bucketShape(2, 1, SECOND)
  const state = { level: 0, at: 3600 * SECOND }
  t.notOk(admit(state, shape, 1, 0))
  t.ok(admit(state, shape, 1, SECOND))
})

t.test('a rate that cannot be counted in whole numbers is refused', async t => {
  t.throws(() => bucketShape(1_000_000_000, 1, 3600 * SECOND), RangeError)
})

const shapes = fc
  .tuple(
    fc.integer({ min: 1, max: 1000 }),
    fc.integer({ min: 1, max: 1000 }),
    fc.integer({ min: 1, max: 100 * SECOND }),
  )
  .map(([tokens, refill, period]) => ({ shape: bucketShape(tokens, refill, period), refill, period }))

const steps = fc.array(
  fc.record({ tokens: fc.integer({ min: 1, max: 20 }), wait: fc.integer({ min: 0, max: 5 * SECOND }) }),
  {
    maxLength: 100,
    size: 'max',
  },
)

t.test('never more than capacity and refill in any time, and never less than that allows', async () => {
  fc.assert(
    fc.property(shapes, steps, ({ shape, refill, period }, all) => {
      const state = { level: shape.capacity, at: 0 }
      let now = 0
      // By exact fractions: tokens times the period.
      let exact = BigInt(shape.tokens) * BigInt(period)
      const full = exact
      for (const { tokens, wait } of all) {
        now += wait
        exact += BigInt(wait) * BigInt(refill)
        if (exact > full) exact = full
        const cost = BigInt(tokens) * BigInt(period)
        const isEnough = cost <= exact
        if (admit(state, shape, tokens, now) !== isEnough) return false
        if (isEnough) exact -= cost
      }
      return true
    }),
    { numRuns: 500 },
  )
})
