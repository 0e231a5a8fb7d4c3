import t from 'tap'
import { chargeOf } from '../../../../gateway/edge/limits/buckets.ts'
import { createLocalBuckets } from '../../../../gateway/edge/limits/local-buckets.ts'
import { bucketShape, isAdmitted } from '../../../../gateway/edge/limits/token-bucket.ts'

const charge = chargeOf(bucketShape(1, 1, 1e6), 1)

t.test('a bucket of its own for each key, refilled by time', async t => {
  let now = 0
  const buckets = createLocalBuckets({ nowUs: () => now })
  t.ok(isAdmitted(buckets.decide('a', charge)))
  t.notOk(isAdmitted(buckets.decide('a', charge)))
  t.ok(isAdmitted(buckets.decide('b', charge)))
  now = 1e6
  t.ok(isAdmitted(buckets.decide('a', charge)))
})

t.test('only so many are kept, and those that are used stay', async t => {
  const buckets = createLocalBuckets({ mostBuckets: 3, nowUs: () => 0 })
  buckets.decide('kept', charge)
  for (let n = 0; n < 100; n++) {
    buckets.decide(`other ${n}`, charge)
    t.notOk(isAdmitted(buckets.decide('kept', charge)))
  }
  t.ok(isAdmitted(buckets.decide('other 0', charge)), 'one that was forgotten is full')
})
