import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { pino } from 'pino'
import t, { type Test } from 'tap'
import type { Revocation } from '#proto/edge/v1/revocation.ts'
import type { UserPrincipal } from '#runtime/principal.ts'
import { createRedis } from '#runtime/redis.ts'
import { followRevocations } from '../../../gateway/edge/revocation-follower.ts'
import { createRevocationSet } from '../../../gateway/edge/revocations.ts'
import { startTestRedis } from '../../support/test-redis.ts'

const logger = pino({ level: 'silent' })
const STREAM = 'gatehouse:revocations'
const EPOCH = 'gatehouse:revocations:epoch'
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
  await writer.set(EPOCH, 'one')
  const state = { snapshots: 0, isAway: false }
  const follower = followRevocations({
    redis: createRedis(server.url, logger),
    snapshot: async () => {
      if (state.isAway) throw new Error('auth-svc is away')
      state.snapshots++
      return [...truth]
    },
    set,
    logger,
  })
  t.teardown(async () => {
    await follower.stop()
    writer.disconnect()
  })
  const revoke = (sessionId: string) =>
    truth.push({ target: { $case: 'sessionId', value: sessionId }, notAfter: undefined, expiresAt })
  const publish = (sessionId: string) =>
    writer.xadd(STREAM, '*', 'kind', 'sid', 'id', sessionId, 'expires_at', String(expiresAt.getTime()))
  const knows = (sessionId: string) => until(() => set.has(principal(sessionId)))
  return { server, writer, follower, set, truth, state, revoke, publish, knows }
}

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await delay(5)
}

t.test('what was revoked before is known by the snapshot, what comes after by the stream', async t => {
  const { revoke, publish, knows, writer, set, state } = await startFollowing(t)
  revoke('before')
  await until(() => state.snapshots === 1)
  await publish('after')
  await knows('after')
  await writer.xadd(
    STREAM,
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
  t.equal(state.snapshots, 1)
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
  const { writer, revoke, knows, state, set } = await startFollowing(t)
  await until(() => state.snapshots === 1)
  revoke('in truth only')
  await writer.flushall()
  await writer.set(EPOCH, 'two')
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
  await writer.xadd(STREAM, '*', 'kind', 'planet', 'id', 'x')
  await publish('next')
  await knows('next')
  t.pass('it went on')
})

t.test('it is blind from the start until it has a snapshot', async t => {
  const { follower, state, writer } = await startFollowing(t)
  state.isAway = true
  await writer.flushall()
  t.ok(follower.blindFor() >= 0)
  await writer.set(EPOCH, 'three')
  await until(() => follower.blindFor() > 1000)
  state.isAway = false
  await until(() => follower.blindFor() < 1000)
  t.pass('it saw once auth-svc was back')
})
