import t from 'tap'
import { limitField, policyField } from '../../../../gateway/edge/limits/limit-fields.ts'
import { bucketShape } from '../../../../gateway/edge/limits/token-bucket.ts'

t.test('the policy says what a bucket holds and in which time an empty one is full', async t => {
  t.equal(policyField('user', bucketShape(100, 10, 1e6)), '"user";q=100;w=10')
  t.equal(policyField('auth', bucketShape(5, 5, 900e6)), '"auth";q=5;w=900')
  t.equal(policyField('fast', bucketShape(1, 1000, 1e6)), '"fast";q=1;w=1', 'a window is at least a second')
  t.equal(limitField('user', 99, 1), '"user";r=99;t=1')
})
