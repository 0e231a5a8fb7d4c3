import t from 'tap'
import { createCharge } from '../../../../gateway/edge/limits/buckets.ts'
import { createLocalBuckets } from '../../../../gateway/edge/limits/local-buckets.ts'
import { bucketShape, isAdmitted } from '../../../../gateway/edge/limits/token-bucket.ts'

const charge = createCharge(bucketShape(1, 1, 1e6), 1)

t.test('each key has its own bucket, which refills over time', async t => {
  let now = 0
  const buckets = createLocalBuckets({ nowUs: () => now })
  t.ok(isAdmitted(buckets.chargeNow('a', charge)))
  t.notOk(isAdmitted(buckets.chargeNow('a', charge)))
  t.ok(isAdmitted(buckets.chargeNow('b', charge)))
  now = 1e6
  t.ok(isAdmitted(buckets.chargeNow('a', charge)))
})

t.test('beyond maxBuckets the least recently used bucket is dropped', async t => {
  const buckets = createLocalBuckets({ maxBuckets: 3, nowUs: () => 0 })
  buckets.chargeNow('kept', charge)
  for (let n = 0; n < 100; n++) {
    buckets.chargeNow(`other ${n}`, charge)
    t.notOk(isAdmitted(buckets.chargeNow('kept', charge)))
  }
  t.ok(isAdmitted(buckets.chargeNow('other 0', charge)), 'a dropped bucket is full')
})
