import t from 'tap'
import { createErrorSampler } from '../../../gateway/http/error-sampling.ts'

t.test('at most ten failed requests per second are sampled', async t => {
  let now = 0
  const sampleError = createErrorSampler(1, () => now)
  const countSampled = (requests: number) => Array.from({ length: requests }, sampleError).filter(Boolean).length
  t.equal(countSampled(3), 3)
  now = 999
  t.equal(countSampled(1000), 7)
  now = 1000
  t.equal(countSampled(1000), 10)
  now = 60_000
  t.equal(countSampled(1000), 10)
})

t.test('a ratio of 0 samples no request; requests left out by the ratio do not count against the limit', async t => {
  t.notOk(Array.from({ length: 1000 }, createErrorSampler(0)).includes(true))
  const sampleHalf = createErrorSampler(0.5, () => 0)
  t.equal(Array.from({ length: 1000 }, sampleHalf).filter(Boolean).length, 10)
})
