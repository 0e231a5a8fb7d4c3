import t from 'tap'
import { Code } from '#runtime/status.ts'
import { createBoundedQueue } from '../../../auth-svc/passwords/bounded-queue.ts'

t.test('so many at a time, so many waiting, and no more', async t => {
  const queue = createBoundedQueue({ concurrency: 2, maxWaiting: 3 })
  const { promise: gate, resolve: open } = Promise.withResolvers<void>()
  let running = 0
  let most = 0
  const work = async () => {
    running += 1
    most = Math.max(most, running)
    await gate
    running -= 1
  }
  const admitted = Array.from({ length: 5 }, () => queue.run(work))
  const turnedAway = await queue.run(work).catch(error => error)
  t.match(turnedAway, { code: Code.UNAVAILABLE, reason: 'overloaded' })
  t.ok(turnedAway.retryAfterMs > 0, 'it says when to come again')
  open()
  await Promise.all(admitted)
  t.equal(most, 2)
  t.equal(await queue.run(async () => 'again'), 'again', 'then there is room')
})

t.test('work whose caller has gone is not begun', async t => {
  const queue = createBoundedQueue({ concurrency: 1, maxWaiting: 10 })
  const { promise: gate, resolve: open } = Promise.withResolvers<void>()
  const caller = new AbortController()
  const first = queue.run(() => gate)
  let begun = false
  const second = queue.run(async () => {
    begun = true
  }, caller.signal)
  caller.abort()
  open()
  await first
  await t.rejects(second, { code: Code.CANCELLED })
  t.notOk(begun)
})

t.test('a piece that fails leaves the queue going', async t => {
  const queue = createBoundedQueue({ concurrency: 1, maxWaiting: 1 })
  await t.rejects(
    queue.run(() => Promise.reject(new Error('no'))),
    { message: 'no' },
  )
  t.equal(await queue.run(async () => 1), 1)
})
