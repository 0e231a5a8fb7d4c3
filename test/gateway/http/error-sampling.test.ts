import t from 'tap'
import { createErrorSampler } from '../../../gateway/http/error-sampling.ts'

t.test('failed requests are sampled, ten a second at most', async t => {
  let now = 0
  const sampleError = createErrorSampler(1, () => now)
  const taken = (count: number) => Array.from({ length: count }, sampleError).filter(Boolean).length
  t.equal(taken(3), 3)
  now = 999
  t.equal(taken(1000), 7)
  now = 1000
  t.equal(taken(1000), 10)
  now = 60_000
  t.equal(taken(1000), 10)
})

t.test('a ratio of 0 samples none, and what it leaves out does not count', async t => {
  t.notOk(Array.from({ length: 1000 }, createErrorSampler(0)).includes(true))
  const half = createErrorSampler(0.5, () => 0)
  t.equal(Array.from({ length: 1000 }, half).filter(Boolean).length, 10)
})
