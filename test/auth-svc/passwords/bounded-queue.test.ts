import t from 'tap'
import { Code } from '#runtime/status.ts'
import { createBoundedQueue } from '../../../auth-svc/passwords/bounded-queue.ts'

t.test('a queue runs and holds the configured numbers of tasks, and rejects more as overloaded', async t => {
  const queue = createBoundedQueue({ concurrency: 2, maxWaiting: 3 })
  const { promise: gate, resolve: openGate } = Promise.withResolvers<void>()
  let running = 0
  let maxRunning = 0
  const task = async () => {
    running += 1
    maxRunning = Math.max(maxRunning, running)
    await gate
    running -= 1
  }
  const accepted = Array.from({ length: 5 }, () => queue.run(task))
  const rejected = await queue.run(task).catch(error => error)
  t.match(rejected, { code: Code.UNAVAILABLE, reason: 'overloaded' })
  t.ok(rejected.retryAfterMs > 0, 'the error has a delay for the retry')
  openGate()
  await Promise.all(accepted)
  t.equal(maxRunning, 2)
  t.equal(await queue.run(async () => 'again'), 'again', 'the queue accepts tasks again')
})

t.test('a task whose caller has cancelled does not start', async t => {
  const queue = createBoundedQueue({ concurrency: 1, maxWaiting: 10 })
  const { promise: gate, resolve: openGate } = Promise.withResolvers<void>()
  const caller = new AbortController()
  const first = queue.run(() => gate)
  let started = false
  const second = queue.run(async () => {
    started = true
  }, caller.signal)
  caller.abort()
  openGate()
  await first
  await t.rejects(second, { code: Code.CANCELLED })
  t.notOk(started)
})

t.test('a failing task does not block the queue', async t => {
  const queue = createBoundedQueue({ concurrency: 1, maxWaiting: 1 })
  await t.rejects(
    queue.run(() => Promise.reject(new Error('task failed'))),
    { message: 'task failed' },
  )
  t.equal(await queue.run(async () => 1), 1)
})
