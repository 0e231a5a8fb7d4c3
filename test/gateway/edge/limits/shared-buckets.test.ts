import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { execaNode } from 'execa'
import { Redis } from 'ioredis'
import { pino } from 'pino'
import t, { type Test } from 'tap'
import { type Charge, chargeOf } from '../../../../gateway/edge/limits/buckets.ts'
import { createSharedBuckets } from '../../../../gateway/edge/limits/shared-buckets.ts'
import { bucketShape, isAdmitted } from '../../../../gateway/edge/limits/token-bucket.ts'
import { openTestRedis, startTestRedis } from '../../../support/test-redis.ts'

/** Nothing of it comes back while a test runs. */
const FIVE_A_DAY = chargeOf(bucketShape(5, 5, 86_400e6), 1)
const logger = pino({ level: 'silent' })

/** Where Redis does answer, though the machine be busy. */
const PATIENT = { decisionMs: 10_000 }
/** As it is shipped. */
const SHIPPED = {}

async function openBuckets(t: Test, redisUrl: string, options: { decisionMs?: number } = PATIENT) {
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
  const take = (key: string, charge: Charge = FIVE_A_DAY) =>
    new Promise<boolean>(resolve => buckets.take(key, charge, outcome => resolve(isAdmitted(outcome))))
  const takeAll = async (key: string, times: number) =>
    (await Promise.all(Array.from({ length: times }, () => take(key)))).filter(Boolean).length
  return { buckets, changes, take, takeAll, becomes: (what: 'local' | 'shared') => once(events, what) }
}

t.test('what one gateway takes is gone for the other, however many ask in one turn', async t => {
  const { url } = await openTestRedis(t)
  const [one, other] = await Promise.all([openBuckets(t, url), openBuckets(t, url)])
  const admitted = await Promise.all([one.takeAll('k', 600), other.takeAll('k', 600)])
  t.equal(admitted[0] + admitted[1], 5)
  t.equal(await one.takeAll('another', 3), 3)
})

t.test('a refund gives back what was taken', async t => {
  const { take, takeAll } = await openBuckets(t, (await openTestRedis(t)).url)
  t.equal(await takeAll('k', 6), 5)
  await take('k', chargeOf(FIVE_A_DAY.shape, -2))
  t.equal(await takeAll('k', 6), 2)
})

t.test('several processes on one key never get more than capacity, refill and one', async t => {
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
  // Redis runs by the same clock.
  const elapsed = (Math.max(...of('endedAt')) - Math.min(...of('begunAt'))) / 1000
  const [admitted, refused] = [sum(of('admitted')), sum(of('refused'))]
  t.comment(`${admitted} admitted, ${refused} refused in ${elapsed.toFixed(2)} s`)
  t.ok(admitted <= tokens + refill * elapsed + 1, `${admitted} of ${tokens + refill * elapsed}`)
  t.ok(admitted >= tokens, 'and the capacity at least')
  t.ok(refused > 0)
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
  t.test(
    `when Redis ${fault}, decisions go on within limits of our own, and are shared again by themselves`,
    async t => {
      const redis = await startTestRedis(t)
      const { buckets, changes, take, takeAll, becomes } = await openBuckets(t, redis.url, SHIPPED)
      t.equal(await takeAll('used up', 6), 5)

      const local = becomes('local')
      const [happened, undo] = cause(redis)
      await happened
      let started = performance.now()
      t.equal(await takeAll('used up', 10), 5, 'as many as one process admits')
      const ms = performance.now() - started
      t.comment(`the first decisions without Redis took ${ms.toFixed(0)} ms (promised: 50)`)
      t.ok(ms < 1000, 'nobody waits for Redis, however busy the machine')
      await local
      t.ok(buckets.isLocal)
      t.equal(await take('used up'), false, 'limited all the same')
      t.equal(await takeAll('other', 6), 5)

      const shared = becomes('shared')
      started = performance.now()
      await undo()
      await shared
      t.comment(`shared again ${(performance.now() - started).toFixed(0)} ms after Redis was back (promised: 2000)`)
      t.equal(await take('used up'), false, 'what Redis held is there still')
      t.strictSame(changes, [false, true, false])
    },
  )
}

t.test('a Redis that hangs is waited for once, not by each request', async t => {
  const redis = await startTestRedis(t)
  const { take, becomes, buckets } = await openBuckets(t, redis.url, SHIPPED)
  redis.signal('SIGSTOP')
  t.teardown(() => redis.signal('SIGCONT'))
  await Promise.all([becomes('local'), take('k')])
  let isLater = false
  setImmediate(() => {
    isLater = true
  })
  await take('k')
  t.notOk(isLater, 'the next decision is made in the same turn')
  t.ok(buckets.isLocal)
})

t.test('a connection that went silent without an end is replaced', async t => {
  const target = new URL((await openTestRedis(t)).url)
  const clients: Socket[] = []
  const proxy = createServer(client => {
    clients.push(client)
    const redis = connect(Number(target.port), target.hostname)
    client.on('error', () => redis.destroy())
    client.on('close', () => redis.destroy())
    client.pipe(redis).pipe(client)
  }).listen(0, '127.0.0.1')
  await once(proxy, 'listening')
  t.teardown(() => {
    for (const client of clients) client.destroy()
    proxy.close()
  })
  const { port } = proxy.address() as AddressInfo
  const { take, becomes } = await openBuckets(t, `redis://127.0.0.1:${port}${target.pathname}`, SHIPPED)

  for (const client of clients) client.unpipe().pause()
  await Promise.all([becomes('local'), take('k')])
  await becomes('shared')
  t.equal(clients.length, 2, 'by another connection')
})

t.test('a Redis that was emptied has full buckets and its script again', async t => {
  const redis = await startTestRedis(t)
  const { changes, takeAll } = await openBuckets(t, redis.url)
  const admin = new Redis(redis.url)
  t.teardown(() => admin.disconnect())
  t.equal(await takeAll('k', 6), 5)
  await admin.flushall()
  t.equal(await takeAll('k', 6), 5)
  await admin.flushall()
  await admin.script('FLUSH')
  t.equal(await takeAll('k', 6), 5)
  t.strictSame(changes, [false], 'nobody fell back')
})

t.test('a Redis that takes no more writes is not asked until it does', async t => {
  const redis = await startTestRedis(t)
  const { takeAll, becomes } = await openBuckets(t, redis.url)
  const admin = new Redis(redis.url)
  t.teardown(() => admin.disconnect())
  const local = becomes('local')
  await admin.config('SET', 'maxmemory', '1')
  t.equal(await takeAll('k', 6), 5)
  await local
  const shared = becomes('shared')
  await admin.config('SET', 'maxmemory', '0')
  await shared
  t.equal(await takeAll('k', 6), 5, 'none of which Redis knew')
})
