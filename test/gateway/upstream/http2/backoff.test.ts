import fc from 'fast-check'
import t from 'tap'
import { createBackoff } from '../../../../gateway/upstream/http2/backoff.ts'

const OPTIONS = { initialMs: 100, maxMs: 1000 }

t.test('each delay is 1.6 times the one before, up to the maximum; reset starts over', async t => {
  const backoff = createBackoff(OPTIONS, () => 0.5)
  const delays = Array.from({ length: 7 }, () => Math.round(backoff.next()))
  t.same(delays, [100, 160, 256, 410, 655, 1000, 1000])
  backoff.reset()
  t.equal(backoff.next(), 100)
})

t.test('jitter changes a delay by at most 20 %', async t => {
  fc.assert(
    fc.property(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), random => {
      const delay = createBackoff(OPTIONS, () => random).next()
      return delay >= 80 && delay <= 120
    }),
  )
  t.pass()
})

t.test('ten gateways that lose a server at once reconnect after different delays', async t => {
  t.equal(new Set(Array.from({ length: 10 }, () => createBackoff(OPTIONS).next())).size, 10)
})
