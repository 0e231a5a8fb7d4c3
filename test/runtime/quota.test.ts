import fc from 'fast-check'
import t from 'tap'
import { fromQuotaMetadata, toQuotaMetadata } from '#runtime/quota.ts'
import { Code, fromGrpcError, StatusError, toGrpcError } from '#runtime/status.ts'
import { assertProperty } from '../support/property.ts'

const count = fc.nat({ max: 1_000_000_000 })
const quotaArbitrary = fc.record({
  name: fc.stringMatching(/^[a-z][a-z0-9_-]{0,31}$/),
  limit: count,
  windowS: count,
  remaining: count,
  resetS: count,
})

t.test('a quota survives the conversion of its StatusError to a gRPC error and back', async t => {
  const property = fc.property(quotaArbitrary, quota => {
    const sent = new StatusError(Code.RESOURCE_EXHAUSTED, 'x', { reason: 'rate_limited', quota })
    const received = fromGrpcError({ name: 'Error', message: '', ...toGrpcError(sent) })
    return JSON.stringify(received.quota) === JSON.stringify(quota)
  })
  await assertProperty(t, property)
})

t.test('metadata without a complete quota of plain characters has none', async t => {
  const valid = toQuotaMetadata({ name: 'sign-in', limit: 5, windowS: 900, remaining: 0, resetS: 3 })
  t.match(fromQuotaMetadata(valid), { name: 'sign-in', resetS: 3 })
  t.equal(fromQuotaMetadata({}), undefined)
  for (const [key, value] of [
    ['quota_name', 'a"\r\nset-cookie: x'],
    ['quota_name', ''],
    ['quota_limit', '-1'],
    ['quota_window_s', '9'.repeat(13)],
    ['quota_remaining', 'x'],
    ['quota_reset_s', '1\n'],
  ] as const) {
    t.equal(fromQuotaMetadata({ ...valid, [key]: value }), undefined, JSON.stringify(value))
  }
})
