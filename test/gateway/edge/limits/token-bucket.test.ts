import fc from 'fast-check'
import t from 'tap'
import {
  type BucketShape,
  bucketShape,
  chargeBucket,
  isAdmitted,
  remainingTokens,
  waitMs,
} from '../../../../gateway/edge/limits/token-bucket.ts'

const SECOND = 1e6

function admit(state: { level: number; at: number }, shape: BucketShape, tokens: number, now: number): boolean {
  return isAdmitted(chargeBucket(state, shape, tokens * shape.unitsPerToken, now))
}

t.test('capacity 5, refill 5 per 15 minutes: five charges at once, then one every three minutes', async t => {
  const shape = bucketShape(5, 5, 900 * SECOND)
  const state = { level: shape.capacityUnits, at: 0 }
  for (let n = 0; n < 5; n++) t.ok(admit(state, shape, 1, 0))
  t.notOk(admit(state, shape, 1, 0))
  t.notOk(admit(state, shape, 1, 180 * SECOND - 1), 'one microsecond early')
  t.ok(admit(state, shape, 1, 180 * SECOND))
  t.notOk(admit(state, shape, 1, 180 * SECOND))
})

t.test('remainingTokens and waitMs after an admitted and after a rejected charge', async t => {
  const shape = bucketShape(100, 10, SECOND)
  const state = { level: shape.capacityUnits, at: 0 }
  const cost = shape.unitsPerToken
  const first = chargeBucket(state, shape, cost, 0)
  t.equal(remainingTokens(shape, first), 99)
  t.equal(waitMs(shape, first, cost), 100, 'until the next token')
  const large = 99 * shape.unitsPerToken
  chargeBucket(state, shape, large, 0)
  const rejected = chargeBucket(state, shape, 30 * shape.unitsPerToken, 0.5 * SECOND)
  t.notOk(isAdmitted(rejected))
  t.equal(remainingTokens(shape, rejected), 5)
  t.equal(waitMs(shape, rejected, 30 * shape.unitsPerToken), 2500, 'until the bucket holds the cost')
})

t.test('refunds do not exceed the capacity', async t => {
  const shape = bucketShape(5, 5, SECOND)
  const state = { level: shape.capacityUnits, at: 0 }
  chargeBucket(state, shape, shape.unitsPerToken, 0)
  for (let n = 0; n < 3; n++) chargeBucket(state, shape, -shape.unitsPerToken, 0)
  t.equal(state.level, shape.capacityUnits)
})

t.test('a clock that is set back neither adds nor removes tokens', async t => {
  const shape = bucketShape(2, 1, SECOND)
  const state = { level: shape.capacityUnits, at: 100 * SECOND }
  t.ok(admit(state, shape, 2, 0))
  t.notOk(admit(state, shape, 1, 0))
  t.ok(admit(state, shape, 1, SECOND), 'it refills from the new time on')
})

t.test('an empty bucket refills after its clock was set back, also if the first charge is rejected', async t => {
  const shape = bucketShape(2, 1, SECOND)
  const state = { level: 0, at: 3600 * SECOND }
  t.notOk(admit(state, shape, 1, 0))
  t.ok(admit(state, shape, 1, SECOND))
})

t.test('bucketShape throws a RangeError if the capacity in units is not a safe integer', async t => {
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

t.test('charges are admitted exactly as by rational arithmetic', async t => {
  let runs = 0
  fc.assert(
    fc.property(shapes, steps, ({ shape, refill, period }, all) => {
      runs++
      const state = { level: shape.capacityUnits, at: 0 }
      let now = 0
      // Tokens multiplied by the period.
      let exact = BigInt(shape.capacityTokens) * BigInt(period)
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
  t.equal(runs, 500, 'number of runs')
})
