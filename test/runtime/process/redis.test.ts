import { setTimeout as delay } from 'node:timers/promises'
import type { Redis } from 'ioredis'
import { pino } from 'pino'
import t, { type Test } from 'tap'
import { createRedis } from '#runtime/process/redis.ts'
import { startFaultProxy } from '../../support/fault-proxy.ts'
import { openTestRedis, startTestRedis } from '../../support/test-redis.ts'
import { until } from '../../support/until.ts'

const logger = pino({ level: 'silent' })
/** The documented bound, 2 s, and an allowance for a busy machine. */
const RECOVERY_MS = 2000 + 3000

const portOf = (url: string) => Number(new URL(url).port)

async function connect(t: Test, url: string): Promise<Redis> {
  const redis = createRedis(url, logger)
  t.teardown(() => redis.disconnect())
  await redis.ping()
  return redis
}

/** Whether a command succeeds. */
const isWorking = (redis: Redis) =>
  redis.set('key', 'value').then(
    () => true,
    () => false,
  )

async function recovery(t: Test, redis: Redis): Promise<void> {
  const ms = await until(
    () => isWorking(redis),
    works => works,
  )
  t.comment(`works again after ${ms.toFixed(0)} ms (bound: 2000)`)
  t.ok(ms <= RECOVERY_MS, `${ms.toFixed(0)} ms`)
}

t.test('a half-open connection is replaced after a command timed out on it', async t => {
  const { url } = await openTestRedis(t)
  const proxy = await startFaultProxy(t, portOf(url))
  const redis = await connect(t, proxy.urlOf(url))
  proxy.swallowOpenConnections()
  const startedAt = performance.now()
  await t.rejects(redis.get('key'))
  t.ok(performance.now() - startedAt >= 900, 'the command has one second')
  await recovery(t, redis)
  t.equal(proxy.accepted, 2)
})

t.test('a half-open connection is replaced while commands continue to be sent', async t => {
  const { url } = await openTestRedis(t)
  const proxy = await startFaultProxy(t, portOf(url))
  const redis = await connect(t, proxy.urlOf(url))
  proxy.swallowOpenConnections()
  // More commands than one, at intervals shorter than the timeout: they must not extend it.
  const timer = setInterval(() => void isWorking(redis), 50)
  t.teardown(() => clearInterval(timer))
  await recovery(t, redis)
})

t.test('a connection whose replies arrive too late is replaced', async t => {
  const { url } = await openTestRedis(t)
  const proxy = await startFaultProxy(t, portOf(url))
  const redis = await connect(t, proxy.urlOf(url))
  const timer = setInterval(() => void redis.pipeline().get('key').exec(), 50)
  t.teardown(() => clearInterval(timer))
  // In steps shorter than the timeout, so that replies always arrive.
  for (const ms of [600, 1200, 1800]) {
    proxy.delayReplies(ms)
    await delay(900)
  }
  await until(
    async () => proxy.accepted,
    accepted => accepted > 1,
  )
  proxy.delayReplies(0)
  await recovery(t, redis)
})

t.test('a connection whose handshake is swallowed is replaced', async t => {
  const { url } = await openTestRedis(t)
  const proxy = await startFaultProxy(t, portOf(url))
  const redis = await connect(t, proxy.urlOf(url))
  proxy.swallowAll()
  await t.rejects(redis.get('key'))
  await until(
    async () => proxy.accepted,
    accepted => accepted >= 3,
  )
  t.equal(await isWorking(redis), false)
  proxy.restore()
  await recovery(t, redis)
})

t.test('a connection on which nothing is sent is kept', async t => {
  const { url } = await openTestRedis(t)
  const proxy = await startFaultProxy(t, portOf(url))
  const redis = await connect(t, proxy.urlOf(url))
  await delay(1500)
  t.equal(await isWorking(redis), true)
  t.equal(proxy.accepted, 1)
})

t.test('after a primary became a replica, the client reconnects', async t => {
  const [primary, replica] = await Promise.all([startTestRedis(t), startTestRedis(t)])
  const [primaryAdmin, replicaAdmin] = await Promise.all([connect(t, primary.url), connect(t, replica.url)])
  await replicaAdmin.replicaof('127.0.0.1', portOf(primary.url))
  const proxy = await startFaultProxy(t, portOf(primary.url))
  const redis = await connect(t, proxy.urlOf(primary.url))
  proxy.retarget(portOf(replica.url))
  await replicaAdmin.replicaof('NO', 'ONE')
  await primaryAdmin.replicaof('127.0.0.1', portOf(replica.url))
  await recovery(t, redis)
  t.equal(await replicaAdmin.get('key'), 'value', 'the command was run by the new primary')
})

/** Error replies after which another connection may reach a server that works, as Redis sends them. */
const WRONG_SERVER = [
  "READONLY You can't write against a read only replica.",
  'LOADING Redis is loading the dataset in memory',
  'CLUSTERDOWN The cluster is down',
  "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
  'NOREPLICAS Not enough good replicas to write.',
  'NOAUTH Authentication required.',
  // Redis 6 and earlier, for an error in a script.
  "ERR Error running script (call to f_1): @user_script:1: -READONLY You can't write against a read only replica.",
]
const RIGHT_SERVER = [
  'WRONGTYPE Operation against a key holding the wrong kind of value',
  "OOM command not allowed when used memory > 'maxmemory'.",
  'ERR the word READONLY in another message',
  'BUSY Redis is busy running a script.',
]

for (const [message, reconnects] of [
  ...WRONG_SERVER.map(text => [text, true] as const),
  ...RIGHT_SERVER.map(text => [text, false] as const),
]) {
  t.test(`the error reply "${message}" ${reconnects ? 'replaces' : 'keeps'} the connection`, async t => {
    const redis = await connect(t, (await openTestRedis(t)).url)
    const before = await redis.client('ID')
    await t.rejects(redis.eval('return redis.error_reply(ARGV[1])', 0, message))
    await recovery(t, redis)
    t.equal((await redis.client('ID')) !== before, reconnects)
  })
}

t.test('a server that keeps sending such errors is reconnected at most twice a second', async t => {
  const { url } = await openTestRedis(t)
  const proxy = await startFaultProxy(t, portOf(url))
  const redis = await connect(t, proxy.urlOf(url))
  const startedAt = performance.now()
  while (performance.now() - startedAt < 1500) {
    await redis.eval("return redis.error_reply('READONLY replica')", 0).catch(() => {})
  }
  const seconds = (performance.now() - startedAt) / 1000
  t.ok(proxy.accepted >= 2 && proxy.accepted <= 2 + seconds * 2, `${proxy.accepted} connections in ${seconds} s`)
})
