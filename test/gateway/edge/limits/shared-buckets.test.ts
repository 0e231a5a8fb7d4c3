import { once } from 'node:events'
import { execaNode } from 'execa'
import { Redis } from 'ioredis'
import { pino } from 'pino'
import t, { type Test } from 'tap'
import { type Charge, createCharge } from '../../../../gateway/edge/limits/buckets.ts'
import { createSharedBuckets } from '../../../../gateway/edge/limits/shared-buckets.ts'
import { bucketShape, isAdmitted } from '../../../../gateway/edge/limits/token-bucket.ts'
import { startFaultProxy } from '../../../support/fault-proxy.ts'
import { openTestRedis, startTestRedis } from '../../../support/test-redis.ts'

/** Capacity 5; it gains no token while a test runs. */
const FIVE_PER_DAY = createCharge(bucketShape(5, 5, 86_400e6), 1)
const logger = pino({ level: 'silent' })

/** For tests in which Redis is available: no fallback, even on a busy machine. */
const LONG_TIMEOUT = { timeoutMs: 10_000 }
const DEFAULT_TIMEOUT = {}

async function openBuckets(t: Test, redisUrl: string, options: { timeoutMs?: number } = LONG_TIMEOUT) {
  const events = new EventTarget()
  const changes: boolean[] = []
  const buckets = createSharedBuckets({
    redisUrl,
    logger,
    ...options,
    onFallback(isLocal) {
      changes.push(isLocal)
      events.dispatchEvent(new Event(isLocal ? 'local' : 'shared'))
    },
  })
  t.teardown(() => buckets.close())
  await once(events, 'shared')
  const charge = (key: string, cost: Charge = FIVE_PER_DAY) =>
    new Promise<boolean>(resolve => buckets.charge(key, cost, outcome => resolve(isAdmitted(outcome))))
  const chargeTimes = async (key: string, times: number) =>
    (await Promise.all(Array.from({ length: times }, () => charge(key)))).filter(Boolean).length
  return { buckets, changes, charge, chargeTimes, becomes: (kind: 'local' | 'shared') => once(events, kind) }
}

t.test('two gateways share a bucket, also with 600 charges in one turn of the event loop', async t => {
  const { url } = await openTestRedis(t)
  const [one, other] = await Promise.all([openBuckets(t, url), openBuckets(t, url)])
  const admitted = await Promise.all([one.chargeTimes('k', 600), other.chargeTimes('k', 600)])
  t.equal(admitted[0] + admitted[1], 5)
  t.equal(await one.chargeTimes('another', 3), 3)
})

t.test('a refund adds tokens to the bucket', async t => {
  const { charge, chargeTimes } = await openBuckets(t, (await openTestRedis(t)).url)
  t.equal(await chargeTimes('k', 6), 5)
  await charge('k', createCharge(FIVE_PER_DAY.shape, -2))
  t.equal(await chargeTimes('k', 6), 2)
})

t.test('several processes on one bucket are admitted at most capacity + refill + 1 charges', async t => {
  const { url } = await openTestRedis(t)
  const fixture = new URL('../../../support/limit-hammer.ts', import.meta.url)
  const [tokens, refill, ms] = [50, 200, 1000]
  const hammers = await Promise.all(
    Array.from({ length: 3 }, () =>
      execaNode(fixture, [url, 'k', tokens, refill, 1e6, ms].map(String), { nodeOptions: [] }),
    ),
  )
  const results = hammers.map(({ stdout }) => JSON.parse(stdout) as Record<string, number>)
  const of = (name: string) => results.map(result => result[name] ?? Number.NaN)
  const sum = (numbers: number[]) => numbers.reduce((total, number) => total + number, 0)
  // Redis runs on the same machine, with the same clock.
  const elapsed = (Math.max(...of('endedAt')) - Math.min(...of('startedAt'))) / 1000
  const [admitted, rejected] = [sum(of('admitted')), sum(of('rejected'))]
  t.comment(`${admitted} admitted, ${rejected} rejected in ${elapsed.toFixed(2)} s`)
  t.ok(admitted <= tokens + refill * elapsed + 1, `${admitted} of ${tokens + refill * elapsed}`)
  t.ok(admitted >= tokens, 'at least the capacity is admitted')
  t.ok(rejected > 0)
})

const FAULTS: Record<
  string,
  (redis: Awaited<ReturnType<typeof startTestRedis>>) => [Promise<void>, () => Promise<void>]
> = {
  hangs: redis => {
    redis.signal('SIGSTOP')
    return [Promise.resolve(), async () => redis.signal('SIGCONT')]
  },
  'is killed': redis => [redis.kill(), () => redis.restart()],
}

for (const [fault, cause] of Object.entries(FAULTS)) {
  t.test(`if Redis ${fault}, local buckets take over, and shared buckets when it is available again`, async t => {
    const redis = await startTestRedis(t)
    const { buckets, changes, charge, chargeTimes, becomes } = await openBuckets(t, redis.url, DEFAULT_TIMEOUT)
    t.equal(await chargeTimes('empty', 6), 5)

    const local = becomes('local')
    const [happened, undo] = cause(redis)
    await happened
    let started = performance.now()
    t.equal(await chargeTimes('empty', 10), 5, 'the capacity of a local bucket')
    const ms = performance.now() - started
    t.comment(`the first decisions without Redis took ${ms.toFixed(0)} ms (bound: 50)`)
    t.ok(ms < 1000, 'no charge waits for Redis')
    await local
    t.ok(buckets.isLocal)
    t.equal(await charge('empty'), false, 'still limited')
    t.equal(await chargeTimes('other', 6), 5)

    const shared = becomes('shared')
    started = performance.now()
    await undo()
    await shared
    t.comment(`shared again ${(performance.now() - started).toFixed(0)} ms after Redis was available (bound: 2000)`)
    t.equal(await charge('empty'), false, 'the bucket in Redis is still empty')
    t.strictSame(changes, [false, true, false])
  })
}

t.test('after the first timeout charges do not wait for a Redis that hangs', async t => {
  const redis = await startTestRedis(t)
  const { charge, becomes, buckets } = await openBuckets(t, redis.url, DEFAULT_TIMEOUT)
  redis.signal('SIGSTOP')
  t.teardown(() => redis.signal('SIGCONT'))
  await Promise.all([becomes('local'), charge('k')])
  let isNextTurn = false
  setImmediate(() => {
    isNextTurn = true
  })
  await charge('k')
  t.notOk(isNextTurn, 'the next charge is decided in the same turn of the event loop')
  t.ok(buckets.isLocal)
})

t.test('a connection without replies is replaced although it is not closed', async t => {
  const { url } = await openTestRedis(t)
  const proxy = await startFaultProxy(t, Number(new URL(url).port))
  const { charge, becomes } = await openBuckets(t, proxy.urlOf(url), DEFAULT_TIMEOUT)

  proxy.swallowOpenConnections()
  await Promise.all([becomes('local'), charge('k')])
  await becomes('shared')
  t.equal(proxy.accepted, 2, 'a second connection was opened')
})

t.test('after FLUSHALL and SCRIPT FLUSH buckets are full and the script is loaded again', async t => {
  const redis = await startTestRedis(t)
  const { changes, chargeTimes } = await openBuckets(t, redis.url)
  const admin = new Redis(redis.url)
  t.teardown(() => admin.disconnect())
  t.equal(await chargeTimes('k', 6), 5)
  await admin.flushall()
  t.equal(await chargeTimes('k', 6), 5)
  await admin.flushall()
  await admin.script('FLUSH')
  t.equal(await chargeTimes('k', 6), 5)
  t.strictSame(changes, [false], 'no fallback')
})

t.test('local buckets are used while Redis rejects writes', async t => {
  const redis = await startTestRedis(t)
  const { chargeTimes, becomes } = await openBuckets(t, redis.url)
  const admin = new Redis(redis.url)
  t.teardown(() => admin.disconnect())
  const local = becomes('local')
  await admin.config('SET', 'maxmemory', '1')
  t.equal(await chargeTimes('k', 6), 5)
  await local
  const shared = becomes('shared')
  await admin.config('SET', 'maxmemory', '0')
  await shared
  t.equal(await chargeTimes('k', 6), 5, 'the charges of the local bucket did not reach Redis')
})
