import { randomUUID } from 'node:crypto'
import { pino } from 'pino'
import t, { type Test } from 'tap'
import type { Revocation } from '#proto/edge/v1/revocation.ts'
import type { UserPrincipal } from '#runtime/auth/principal.ts'
import { REVOCATION_EPOCH, REVOCATION_HEARTBEAT, REVOCATION_STREAM } from '#runtime/auth/revocation-stream.ts'
import { createRedis } from '#runtime/process/redis.ts'
import { followRevocations } from '../../../../gateway/edge/revocations/revocation-follower.ts'
import { createRevocationSet } from '../../../../gateway/edge/revocations/revocation-set.ts'
import { startFaultProxy } from '../../../support/fault-proxy.ts'
import { startTestRedis } from '../../../support/test-redis.ts'
import { until as untilIt } from '../../../support/until.ts'

const logger = pino({ level: 'silent' })
const MAX_HEARTBEAT_AGE_MS = 300_000
const expiresAt = new Date(Date.now() + 900_000)

function principal(sessionId: string, { userId = 'u', issuedAt = 1000 } = {}): UserPrincipal {
  const rest = { kind: 'user', tokenId: 'j', role: 'user', email: 'e', expiresAt: 0, authenticatedAt: 0 } as const
  return { ...rest, userId, sessionId, issuedAt }
}

/** Starts a Redis server and a follower. `committed` stands for the revocations in the database of auth-svc. */
async function startFollowing(t: Test) {
  const server = await startTestRedis(t)
  const proxy = await startFaultProxy(t, Number(new URL(server.url).port))
  const writer = createRedis(server.url, logger)
  const committed: Revocation[] = []
  const set = createRevocationSet()
  await writer.set(REVOCATION_EPOCH, 'one')
  /** `clockOffsetMs` moves the follower's clock forward. */
  const state = { snapshots: 0, isDown: false, clockOffsetMs: 0 }
  const lags: number[] = []
  const follower = followRevocations({
    redis: createRedis(proxy.urlOf(server.url), logger),
    async *snapshot() {
      if (state.isDown) throw new Error('auth-svc is down')
      state.snapshots++
      for (const revocation of [...committed]) yield [revocation]
    },
    set,
    logger,
    maxHeartbeatAgeMs: MAX_HEARTBEAT_AGE_MS,
    onApplied: lag => lags.push(lag),
    monotonic: () => performance.now() + state.clockOffsetMs,
  })
  t.teardown(async () => {
    await follower.stop()
    writer.disconnect()
  })
  const revoke = (sessionId: string) =>
    committed.push({ target: { $case: 'sessionId', value: sessionId }, notAfter: undefined, expiresAt })
  const publish = (sessionId: string) => {
    revoke(sessionId)
    return writer.xadd(
      REVOCATION_STREAM,
      '*',
      'kind',
      'sid',
      'id',
      sessionId,
      'expires_at',
      String(expiresAt.getTime()),
    )
  }
  /** Adds the first entry, for which the follower takes a second snapshot: the stream may have been trimmed before it. */
  const startStream = async () => {
    await until(() => state.snapshots === 1)
    await publish('first entry')
    await until(() => state.snapshots === 2)
    lags.length = 0
  }
  const waitUntilRevoked = (sessionId: string) => until(() => set.has(principal(sessionId)))
  const sendHeartbeat = async () => {
    const [seconds, microseconds] = await writer.time()
    await writer.set(REVOCATION_HEARTBEAT, Number(seconds) * 1000 + Math.floor(Number(microseconds) / 1000))
  }
  /** Sends heartbeats from now on, so that the follower takes no snapshot for the lack of one. */
  const keepHeartbeat = async () => {
    await sendHeartbeat()
    const timer = setInterval(() => void sendHeartbeat(), 100)
    t.teardown(() => clearInterval(timer))
  }
  return {
    server,
    proxy,
    writer,
    follower,
    set,
    committed,
    state,
    lags,
    revoke,
    publish,
    startStream,
    waitUntilRevoked,
    sendHeartbeat,
    keepHeartbeat,
  }
}

async function until(isReached: () => boolean): Promise<void> {
  await untilIt(
    async () => isReached(),
    reached => reached,
    { everyMs: 5 },
  )
}

t.test('the snapshot supplies revocations from before the start, the stream those from after it', async t => {
  const { revoke, publish, startStream, waitUntilRevoked, writer, set, state } = await startFollowing(t)
  revoke('before')
  await startStream()
  await publish('after')
  await waitUntilRevoked('after')
  await writer.xadd(
    REVOCATION_STREAM,
    '*',
    'kind',
    'user',
    'id',
    'u',
    'not_after',
    '5000',
    'expires_at',
    String(expiresAt.getTime()),
  )
  await until(() => set.has(principal('x', { issuedAt: 5000 })))
  t.notOk(set.has(principal('x', { issuedAt: 5001 })))
  t.ok(set.has(principal('before')))
  t.equal(state.snapshots, 2)
})

t.test('no revocation is lost between the snapshot and the stream', async t => {
  const { publish, revoke, waitUntilRevoked } = await startFollowing(t)
  const sessions = Array.from({ length: 300 }, () => randomUUID())
  for (const session of sessions) {
    revoke(session)
    await publish(session)
  }
  for (const session of sessions) await waitUntilRevoked(session)
  t.pass('all 300 are in the set')
})

t.test('a flush of Redis makes the follower take a new snapshot', async t => {
  const { writer, revoke, waitUntilRevoked, state, set, keepHeartbeat } = await startFollowing(t)
  await until(() => state.snapshots === 1)
  await keepHeartbeat()
  revoke('committed only')
  await writer.flushall()
  await writer.set(REVOCATION_EPOCH, 'two')
  await waitUntilRevoked('committed only')
  t.ok(state.snapshots >= 2)
  t.ok(set.has(principal('committed only')))
})

t.test(
  'revocations stay in force while Redis is down, staleness is measured, and missed ones arrive after the restart',
  async t => {
    const { server, follower, publish, revoke, waitUntilRevoked, set } = await startFollowing(t)
    revoke('before')
    await publish('before')
    await waitUntilRevoked('before')
    await server.kill()
    await until(() => follower.staleForMs() > 300)
    t.ok(set.has(principal('before')))
    revoke('meanwhile')
    await server.restart()
    await waitUntilRevoked('meanwhile')
    await until(() => follower.staleForMs() < 1000)
    t.ok(set.has(principal('before')))
  },
)

t.test('a Redis that hangs makes the revocation set stale', async t => {
  const { server, follower, state } = await startFollowing(t)
  await until(() => state.snapshots === 1)
  server.signal('SIGSTOP')
  await until(() => follower.staleForMs() > 3000)
  server.signal('SIGCONT')
  await until(() => follower.staleForMs() < 1000)
  t.pass('up to date again')
})

t.test('a malformed stream entry is skipped and later entries are applied', async t => {
  const { writer, publish, waitUntilRevoked, state } = await startFollowing(t)
  await until(() => state.snapshots === 1)
  await writer.xadd(REVOCATION_STREAM, '*', 'kind', 'planet', 'id', 'x')
  await publish('next')
  await waitUntilRevoked('next')
  t.pass('the entry after it was applied')
})

t.test('the revocation set is stale until the first snapshot', async t => {
  const { follower, state, writer } = await startFollowing(t)
  state.isDown = true
  await writer.flushall()
  t.ok(follower.staleForMs() >= 0)
  await writer.set(REVOCATION_EPOCH, 'three')
  await until(() => follower.staleForMs() > 1000)
  state.isDown = false
  await until(() => follower.staleForMs() < 1000)
  t.pass('up to date once auth-svc is available')
})

t.test('a stream trimmed past the read position makes the follower take a new snapshot', async t => {
  const { writer, publish, startStream, revoke, waitUntilRevoked, state, keepHeartbeat } = await startFollowing(t)
  await startStream()
  await keepHeartbeat()
  await publish('another')
  await waitUntilRevoked('another')
  t.equal(state.snapshots, 2)
  for (const trimmed of ['trimmed 1', 'trimmed 2']) revoke(trimmed)
  const entry = (id: string) => ['*', 'kind', 'sid', 'id', id, 'expires_at', String(expiresAt.getTime())] as const
  await writer
    .multi()
    .xadd(REVOCATION_STREAM, ...entry('trimmed 1'))
    .xadd(REVOCATION_STREAM, ...entry('trimmed 2'))
    .xadd(REVOCATION_STREAM, ...entry('kept'))
    .xtrim(REVOCATION_STREAM, 'MAXLEN', 1)
    .exec()
  for (const session of ['kept', 'trimmed 1', 'trimmed 2']) await waitUntilRevoked(session)
  t.equal(state.snapshots, 3)
})

t.test('5,000 entries, more than one batch, are all applied before the set counts as complete', async t => {
  const { writer, startStream, waitUntilRevoked, follower, set } = await startFollowing(t)
  await startStream()
  const pipeline = writer.pipeline()
  for (let number = 0; number < 5000; number++) {
    pipeline.xadd(REVOCATION_STREAM, '*', 'kind', 'sid', 'id', `${number}`, 'expires_at', String(expiresAt.getTime()))
  }
  await pipeline.exec()
  const written = performance.now()
  await until(() => follower.staleForMs() < performance.now() - written)
  t.equal(set.size, 5001)
  await waitUntilRevoked('4999')
})

t.test('onApplied receives the lag of each entry', async t => {
  const { publish, startStream, waitUntilRevoked, lags } = await startFollowing(t)
  await startStream()
  await publish('one')
  await waitUntilRevoked('one')
  await publish('two')
  await waitUntilRevoked('two')
  t.equal(lags.length, 2)
  t.ok(lags.every(lag => lag >= 0 && lag < 20_000))
})

t.test('the revocation set is stale after 30 s without the stream and recovers when Redis responds', async t => {
  const { server, follower, state } = await startFollowing(t)
  t.ok(follower.isStale(), 'stale before the first snapshot')
  await until(() => !follower.isStale())
  server.signal('SIGSTOP')
  state.clockOffsetMs += 29_000
  t.notOk(follower.isStale())
  state.clockOffsetMs += 1_001
  t.ok(follower.isStale())
  server.signal('SIGCONT')
  await until(() => !follower.isStale())
  t.pass('up to date again')
})

t.test('the revocation set is stale if the clock returns NaN', async t => {
  const { follower, state } = await startFollowing(t)
  await until(() => !follower.isStale())
  state.clockOffsetMs = Number.NaN
  t.ok(follower.isStale())
})

t.test('without a heartbeat for 10 s the follower takes a snapshot; with heartbeats it does not', async t => {
  const { revoke, waitUntilRevoked, follower, state, sendHeartbeat } = await startFollowing(t)
  await until(() => state.snapshots === 1)
  for (let time = 0; time < 30_000; time += 6_000) {
    state.clockOffsetMs += 6_000
    await sendHeartbeat()
    await until(() => follower.heartbeatAgeMs() < 4_000)
  }
  t.equal(state.snapshots, 1)
  revoke('committed but not published')
  state.clockOffsetMs += 10_000
  await waitUntilRevoked('committed but not published')
  t.ok(follower.heartbeatAgeMs() < 5_000, 'a snapshot counts as a heartbeat')
})

t.test('without auth-svc the revocation set is stale after the maximum heartbeat age', async t => {
  const { follower, state, sendHeartbeat } = await startFollowing(t)
  await until(() => !follower.isStale())
  state.isDown = true
  state.clockOffsetMs += MAX_HEARTBEAT_AGE_MS - 20_000
  await until(() => follower.staleForMs() < 1_000)
  t.notOk(follower.isStale())
  state.clockOffsetMs += 20_001
  await until(() => follower.staleForMs() < 1_000)
  t.ok(follower.isStale(), 'although the stream is readable')
  await sendHeartbeat()
  await until(() => !follower.isStale())
  t.pass('up to date with the next heartbeat')
})

t.test('a step of the wall clock does not change staleness', async t => {
  const { follower, server, state, sendHeartbeat } = await startFollowing(t)
  await until(() => !follower.isStale())
  await sendHeartbeat()
  const now = Date.now
  t.teardown(() => {
    Date.now = now
  })
  for (const step of [3_600_000, -3_600_000]) {
    Date.now = () => now() + step
    t.ok(follower.staleForMs() < 20_000 && follower.heartbeatAgeMs() < 20_000)
    t.notOk(follower.isStale())
  }
  server.signal('SIGSTOP')
  state.clockOffsetMs += 30_001
  t.ok(follower.isStale())
  server.signal('SIGCONT')
})

t.test('without a heartbeat the follower reconnects: its server may be a former primary without writes', async t => {
  const { follower, proxy, set, state } = await startFollowing(t)
  await until(() => !follower.isStale())
  const successor = await startTestRedis(t)
  const writer = createRedis(successor.url, logger)
  t.teardown(() => writer.disconnect())
  await writer.set(REVOCATION_EPOCH, 'one')
  // The connection stays with the former primary, which replies to all reads.
  proxy.retarget(Number(new URL(successor.url).port))
  state.clockOffsetMs += 10_001
  await writer.xadd(REVOCATION_STREAM, '*', 'kind', 'sid', 'id', 'x', 'expires_at', String(expiresAt.getTime()))
  await until(() => set.has(principal('x')))
  t.notOk(follower.isStale())
  t.equal(proxy.accepted, 2)
})
