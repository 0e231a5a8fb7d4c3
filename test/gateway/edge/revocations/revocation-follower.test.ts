import { randomUUID } from 'node:crypto'
import { pino } from 'pino'
import t, { type Test } from 'tap'
import type { Revocation } from '#proto/edge/v1/revocation.ts'
import type { UserPrincipal } from '#runtime/auth/principal.ts'
import { REVOCATION_EPOCH, REVOCATION_HEARTBEAT, REVOCATION_STREAM } from '#runtime/auth/revocation-stream.ts'
import { createRedis } from '#runtime/process/redis.ts'
import { followRevocations } from '../../../../gateway/edge/revocations/revocation-follower.ts'
import { createRevocationSet } from '../../../../gateway/edge/revocations/revocations.ts'
import { startTestRedis } from '../../../support/test-redis.ts'
import { until as untilIt } from '../../../support/until.ts'

const logger = pino({ level: 'silent' })
const MAX_SILENT_MS = 300_000
const expiresAt = new Date(Date.now() + 900_000)

function principal(sessionId: string, { userId = 'u', issuedAt = 1000 } = {}): UserPrincipal {
  const rest = { kind: 'user', tokenId: 'j', role: 'user', email: 'e', expiresAt: 0, authenticatedAt: 0 } as const
  return { ...rest, userId, sessionId, issuedAt }
}

/** What auth-svc does, as far as a gateway can see: the truth, and the stream that carries it. */
async function startFollowing(t: Test) {
  const server = await startTestRedis(t)
  const writer = createRedis(server.url, logger)
  const truth: Revocation[] = []
  const set = createRevocationSet()
  await writer.set(REVOCATION_EPOCH, 'one')
  /** `ahead`: milliseconds by which the follower's clock is, to let time pass. */
  const state = { snapshots: 0, isAway: false, ahead: 0 }
  const lags: number[] = []
  const follower = followRevocations({
    redis: createRedis(server.url, logger),
    async *snapshot() {
      if (state.isAway) throw new Error('auth-svc is away')
      state.snapshots++
      for (const revocation of [...truth]) yield [revocation]
    },
    set,
    logger,
    maxSilentMs: MAX_SILENT_MS,
    onApplied: lag => lags.push(lag),
    monotonic: () => performance.now() + state.ahead,
  })
  t.teardown(async () => {
    await follower.stop()
    writer.disconnect()
  })
  const revoke = (sessionId: string) =>
    truth.push({ target: { $case: 'sessionId', value: sessionId }, notAfter: undefined, expiresAt })
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
  /** From then on the stream has a beginning: the first entry of all may have followed others, for all that is known. */
  const begin = async () => {
    await until(() => state.snapshots === 1)
    await publish('the first of all')
    await until(() => state.snapshots === 2)
    lags.length = 0
  }
  const knows = (sessionId: string) => until(() => set.has(principal(sessionId)))
  const vouch = async () => {
    const [seconds, microseconds] = await writer.time()
    await writer.set(REVOCATION_HEARTBEAT, Number(seconds) * 1000 + Math.floor(Number(microseconds) / 1000))
  }
  /** From now on, so that auth-svc is not asked instead, and what is to be seen is seen by the stream. */
  const keepVouching = async () => {
    await vouch()
    const timer = setInterval(() => void vouch(), 100)
    t.teardown(() => clearInterval(timer))
  }
  return { server, writer, follower, set, truth, state, lags, revoke, publish, begin, knows, vouch, keepVouching }
}

async function until(isSo: () => boolean): Promise<void> {
  await untilIt(
    async () => isSo(),
    is => is,
    { everyMs: 5 },
  )
}

t.test('what was revoked before is known by the snapshot, what comes after by the stream', async t => {
  const { revoke, publish, begin, knows, writer, set, state } = await startFollowing(t)
  revoke('before')
  await begin()
  await publish('after')
  await knows('after')
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

t.test('no revocation falls between the snapshot and the stream', async t => {
  const { publish, revoke, knows } = await startFollowing(t)
  const sessions = Array.from({ length: 300 }, () => randomUUID())
  for (const session of sessions) {
    revoke(session)
    await publish(session)
  }
  for (const session of sessions) await knows(session)
  t.pass('all are known')
})

t.test('a flushed Redis makes it take a new snapshot', async t => {
  const { writer, revoke, knows, state, set, keepVouching } = await startFollowing(t)
  await until(() => state.snapshots === 1)
  await keepVouching()
  revoke('in truth only')
  await writer.flushall()
  await writer.set(REVOCATION_EPOCH, 'two')
  await knows('in truth only')
  t.ok(state.snapshots >= 2)
  t.ok(set.has(principal('in truth only')))
})

t.test(
  'while Redis is gone what is known stays known, and the blindness is measured; afterwards nothing is missing',
  async t => {
    const { server, follower, publish, revoke, knows, set } = await startFollowing(t)
    revoke('before')
    await publish('before')
    await knows('before')
    await server.kill()
    await until(() => follower.blindFor() > 300)
    t.ok(set.has(principal('before')))
    revoke('meanwhile')
    await server.restart()
    await knows('meanwhile')
    await until(() => follower.blindFor() < 1000)
    t.ok(set.has(principal('before')))
  },
)

t.test('a Redis that hangs makes it blind, too', async t => {
  const { server, follower, state } = await startFollowing(t)
  await until(() => state.snapshots === 1)
  server.signal('SIGSTOP')
  await until(() => follower.blindFor() > 3000)
  server.signal('SIGCONT')
  await until(() => follower.blindFor() < 1000)
  t.pass('and it sees again')
})

t.test('an entry that cannot be read does not stop those after it', async t => {
  const { writer, publish, knows, state } = await startFollowing(t)
  await until(() => state.snapshots === 1)
  await writer.xadd(REVOCATION_STREAM, '*', 'kind', 'planet', 'id', 'x')
  await publish('next')
  await knows('next')
  t.pass('it went on')
})

t.test('it is blind from the start until it has a snapshot', async t => {
  const { follower, state, writer } = await startFollowing(t)
  state.isAway = true
  await writer.flushall()
  t.ok(follower.blindFor() >= 0)
  await writer.set(REVOCATION_EPOCH, 'three')
  await until(() => follower.blindFor() > 1000)
  state.isAway = false
  await until(() => follower.blindFor() < 1000)
  t.pass('it saw once auth-svc was back')
})

t.test('it asks for all again when the stream no longer reaches back to where it was', async t => {
  const { writer, publish, begin, revoke, knows, state, keepVouching } = await startFollowing(t)
  await begin()
  await keepVouching()
  await publish('another')
  await knows('another')
  t.equal(state.snapshots, 2)
  for (const lost of ['lost', 'too']) revoke(lost)
  const entry = (id: string) => ['*', 'kind', 'sid', 'id', id, 'expires_at', String(expiresAt.getTime())] as const
  await writer
    .multi()
    .xadd(REVOCATION_STREAM, ...entry('lost'))
    .xadd(REVOCATION_STREAM, ...entry('too'))
    .xadd(REVOCATION_STREAM, ...entry('kept'))
    .xtrim(REVOCATION_STREAM, 'MAXLEN', 1)
    .exec()
  for (const session of ['kept', 'lost', 'too']) await knows(session)
  t.equal(state.snapshots, 3)
})

t.test('more than one read can take is read to the end before it is complete', async t => {
  const { writer, begin, knows, follower, set } = await startFollowing(t)
  await begin()
  const pipeline = writer.pipeline()
  for (let number = 0; number < 5000; number++) {
    pipeline.xadd(REVOCATION_STREAM, '*', 'kind', 'sid', 'id', `${number}`, 'expires_at', String(expiresAt.getTime()))
  }
  await pipeline.exec()
  const written = performance.now()
  await until(() => follower.blindFor() < performance.now() - written)
  t.equal(set.size, 5001)
  await knows('4999')
})

t.test('the lag of each entry is told', async t => {
  const { publish, begin, knows, lags } = await startFollowing(t)
  await begin()
  await publish('one')
  await knows('one')
  await publish('two')
  await knows('two')
  t.equal(lags.length, 2)
  t.ok(lags.every(lag => lag >= 0 && lag < 20_000))
})

t.test('after 30 s without the stream it is blind, and sees again at once when it is back', async t => {
  const { server, follower, state } = await startFollowing(t)
  t.ok(follower.isBlind(), 'also before it has ever seen')
  await until(() => !follower.isBlind())
  server.signal('SIGSTOP')
  state.ahead += 29_000
  t.notOk(follower.isBlind())
  state.ahead += 1_001
  t.ok(follower.isBlind())
  server.signal('SIGCONT')
  await until(() => !follower.isBlind())
  t.pass('it sees')
})

t.test('where nobody vouches for the stream, auth-svc is asked itself; somebody who does spares it that', async t => {
  const { revoke, knows, follower, state, vouch } = await startFollowing(t)
  await until(() => state.snapshots === 1)
  for (let time = 0; time < 30_000; time += 6_000) {
    state.ahead += 6_000
    await vouch()
    await until(() => follower.silentFor() < 4_000)
  }
  t.equal(state.snapshots, 1)
  revoke('committed, and not sent')
  state.ahead += 10_000
  await knows('committed, and not sent')
  t.ok(follower.silentFor() < 5_000, 'and its answer is as good')
})

t.test('without auth-svc it trusts what it knows for minutes, and then nothing', async t => {
  const { follower, state, vouch } = await startFollowing(t)
  await until(() => !follower.isBlind())
  state.isAway = true
  state.ahead += MAX_SILENT_MS - 20_000
  await until(() => follower.blindFor() < 1_000)
  t.notOk(follower.isBlind())
  state.ahead += 20_001
  await until(() => follower.blindFor() < 1_000)
  t.ok(follower.isBlind(), 'although the stream can be read')
  await vouch()
  await until(() => !follower.isBlind())
  t.pass('it sees once auth-svc is back')
})

t.test('a step of the wall clock neither blinds it nor opens its eyes', async t => {
  const { follower, server, state, vouch } = await startFollowing(t)
  await until(() => !follower.isBlind())
  await vouch()
  const now = Date.now
  t.teardown(() => {
    Date.now = now
  })
  for (const step of [3_600_000, -3_600_000]) {
    Date.now = () => now() + step
    t.ok(follower.blindFor() < 20_000 && follower.silentFor() < 20_000)
    t.notOk(follower.isBlind())
  }
  server.signal('SIGSTOP')
  state.ahead += 30_001
  t.ok(follower.isBlind())
  server.signal('SIGCONT')
})
