import { Writable } from 'node:stream'
import type { Redis } from 'ioredis'
import { sql } from 'kysely'
import { pino } from 'pino'
import t from 'tap'
import type { Tokens } from '#proto/auth/v1/auth.ts'
import { callUnary } from '#runtime/grpc/client.ts'
import { createRedis } from '#runtime/process/redis.ts'
import { Code } from '#runtime/status.ts'
import { familyKey } from '../../../auth-svc/sessions/refresh-families.ts'
import { startTestRedis } from '../../support/test-redis.ts'
import { type AuthSystem, startAuthSystem } from '../auth-system.ts'

const silent = pino({ level: 'silent' })
const reused = { code: Code.UNAUTHENTICATED, reason: 'refresh_token_reused' }
const ended = { code: Code.UNAUTHENTICATED, reason: 'session_ended' }
const invalid = { code: Code.UNAUTHENTICATED, reason: 'refresh_token_invalid' }

/** Moves the last rotation of the session's refresh token family into the past, as if `ms` milliseconds had passed. */
async function advanceTime(system: AuthSystem, tokens: Tokens, ms: number): Promise<void> {
  const { sessionId } = await system.principalOf(tokens)
  await system.redis.hincrby(familyKey(sessionId), 'rotated_at', -ms)
}

/** The number of scripts that a Redis server has run. */
async function countScripts(redis: Redis): Promise<number> {
  const stats = await redis.info('commandstats')
  return [...stats.matchAll(/^cmdstat_eval\w*:calls=(\d+)/gm)].reduce((sum, [, calls]) => sum + Number(calls), 0)
}

t.test('refresh', async t => {
  const system = await startAuthSystem(t)
  const { auth, database, redis, revocations, signUp, login, refresh, principalOf, userSvc } = system
  const { db } = database
  const listRevocations = async () =>
    (await callUnary(revocations, revocations.listRevocations, { pageSize: 0, pageToken: '' })).revocations

  t.test('a refresh returns new tokens of the same session, without the user', async t => {
    const first = await signUp()
    const second = await refresh(first.refreshToken)
    t.match(second, { tokenType: 'Bearer', expiresIn: 900, user: undefined, refreshExpiresIn: 7 * 24 * 3600 })
    t.not(second.refreshToken, first.refreshToken)
    t.not(second.accessToken, first.accessToken)
    const [before, after] = [await principalOf(first), await principalOf(second)]
    t.equal(after.sessionId, before.sessionId)
    t.equal(after.authenticatedAt, before.authenticatedAt, 'a refresh is not an authentication')
    t.ok(after.issuedAt >= before.issuedAt)
  })

  t.test('a refresh returns the refresh token in the field in which it was sent, cookie or body', async t => {
    const { refreshToken = '' } = await signUp()
    const byCookie = await callUnary(auth, auth.refresh, { refreshToken: '', refreshCookie: refreshToken })
    t.match(byCookie, { refreshToken: undefined, refreshCookie: String })
    const cookie = byCookie.refreshCookie ?? ''
    t.match(await callUnary(auth, auth.refresh, { refreshToken: cookie, refreshCookie: 'another' }), {
      refreshToken: String,
      refreshCookie: undefined,
    })
  })

  t.test('a refresh repeated within the grace period returns the same successor', async t => {
    const { refreshToken } = await signUp()
    const successor = await refresh(refreshToken)
    t.equal((await refresh(refreshToken)).refreshToken, successor.refreshToken)
    t.equal((await refresh(refreshToken)).refreshToken, successor.refreshToken)
    await refresh(successor.refreshToken)
  })

  t.test('fifty concurrent refreshes of one token return one successor and keep the session', async t => {
    const { refreshToken } = await signUp()
    const all = await Promise.all(Array.from({ length: 50 }, () => refresh(refreshToken)))
    t.equal(new Set(all.map(tokens => tokens.refreshToken)).size, 1)
    const next = await refresh(all[0]?.refreshToken)
    await refresh(next.refreshToken)
  })

  t.test('a refresh token reused after its successor was used ends every session of the user', async t => {
    const first = await signUp()
    const otherSession = await login({ email: first.user?.email ?? '' })
    const otherUser = await signUp()
    const second = await refresh(first.refreshToken)
    const third = await refresh(second.refreshToken)

    await t.rejects(refresh(first.refreshToken), reused)
    for (const tokens of [third, second, otherSession]) await t.rejects(refresh(tokens.refreshToken), ended)
    await refresh(otherUser.refreshToken)

    const entry = (await listRevocations()).find(({ target }) => target?.value === first.user?.id)
    t.equal(entry?.target?.$case, 'userId')
    for (const tokens of [first, second, third, otherSession]) {
      const { issuedAt, expiresAt } = await principalOf(tokens)
      t.ok(issuedAt <= (entry?.notAfter?.getTime() ?? 0), 'access tokens issued before the reuse are revoked')
      t.ok(expiresAt <= (entry?.expiresAt?.getTime() ?? 0), 'the revocation does not expire before the token')
    }
    const fresh = await login({ email: first.user?.email ?? '' })
    t.ok((await principalOf(fresh)).issuedAt > (entry?.notAfter?.getTime() ?? 0), 'later access tokens are not revoked')
    await refresh(fresh.refreshToken)
  })

  t.test('a refresh token reused after its grace period ends every session of the user', async t => {
    const first = await signUp()
    const second = await refresh(first.refreshToken)
    await advanceTime(system, first, 9_000)
    t.equal((await refresh(first.refreshToken)).refreshToken, second.refreshToken)
    await advanceTime(system, first, 2_000)
    await t.rejects(refresh(first.refreshToken), reused)
    await t.rejects(refresh(second.refreshToken), ended)
  })

  t.test('a refresh reads the current role of the account', async t => {
    const tokens = await signUp()
    await db
      .updateTable('accounts')
      .set({ role: 'moderator' })
      .where('user_id', '=', tokens.user?.id ?? '')
      .execute()
    t.equal((await principalOf(await refresh(tokens.refreshToken))).role, 'moderator')
  })

  t.test('a refresh works while user-svc is unavailable', async t => {
    const { refreshToken } = await signUp()
    await userSvc.stop()
    t.ok((await refresh(refreshToken)).accessToken)
    await userSvc.restart()
  })

  t.test('no token outlives its session, however often it is refreshed', async t => {
    const tokens = await signUp()
    const { sessionId } = await principalOf(tokens)
    await db
      .updateTable('sessions')
      .set({ expires_at: sql`now() + interval '1 hour 500 milliseconds'` })
      .where('id', '=', sessionId)
      .execute()
    const next = await refresh(tokens.refreshToken)
    t.ok(next.refreshExpiresIn <= 3600 && next.refreshExpiresIn > 3590)
    t.ok((await redis.pttl(familyKey(sessionId))) <= 3_600_500)
    await db
      .updateTable('sessions')
      .set({ expires_at: sql`now() + interval '10 seconds'` })
      .where('id', '=', sessionId)
      .execute()
    const last = await refresh(next.refreshToken)
    t.ok(last.expiresIn <= 10, 'the access token expires with the session')
    await db.updateTable('sessions').set({ expires_at: sql`now()` }).where('id', '=', sessionId).execute()
    await t.rejects(refresh(last.refreshToken), ended)
  })

  t.test('after Redis has lost all data no earlier refresh token is accepted again', async t => {
    const first = await signUp()
    const second = await refresh(first.refreshToken)
    await redis.flushdb()
    for (const tokens of [first, second]) await t.rejects(refresh(tokens.refreshToken), ended)
    const fresh = await login({ email: first.user?.email ?? '' })
    await refresh(fresh.refreshToken)
    for (const tokens of [first, second]) await t.rejects(refresh(tokens.refreshToken), ended)
  })
})

t.test('an invalid refresh token is rejected without a script in Redis', async t => {
  // A dedicated server, because command statistics are per server.
  const server = await startTestRedis(t)
  const { redis, signUp, refresh } = await startAuthSystem(t, { redisUrl: server.url })
  const { refreshToken = '' } = await signUp()
  const [session, , mac] = refreshToken.split('.')
  const other = (await signUp()).refreshToken?.split('.') ?? []
  const invalidTokens = [
    '',
    'rubbish',
    `${session}.2.${mac}`,
    `${session}.1.${other[2]}`,
    `${other[0]}.1.${mac}`,
    `${Buffer.alloc(16, 1).toString('base64url')}.1.${mac}`,
  ]
  const before = await countScripts(redis)
  t.ok(before > 0, 'a sign-up runs a script')
  for (const text of invalidTokens) await t.rejects(refresh(text), invalid, text)
  t.equal(await countScripts(redis), before)
  await refresh(refreshToken)
})

t.test('with REUSE_SCOPE=session a reused refresh token ends only its session', async t => {
  const { revocations, signUp, login, refresh, principalOf } = await startAuthSystem(t, {
    settings: { REUSE_SCOPE: 'session' },
  })
  const first = await signUp()
  const otherSession = await login({ email: first.user?.email ?? '' })
  const second = await refresh(first.refreshToken)
  const third = await refresh(second.refreshToken)
  await t.rejects(refresh(first.refreshToken), reused)
  await t.rejects(refresh(third.refreshToken), ended)
  await refresh(otherSession.refreshToken)
  const { sessionId } = await principalOf(first)
  t.match((await callUnary(revocations, revocations.listRevocations, { pageSize: 0, pageToken: '' })).revocations, [
    { target: { $case: 'sessionId', value: sessionId } },
  ])
})

t.test('the reuse of a refresh token is logged with its class and without the token', async t => {
  const lines: string[] = []
  const logger = pino({}, new Writable({ write: (chunk, _, done) => done(void lines.push(String(chunk))) }))
  const system = await startAuthSystem(t, { logger })
  const { signUp, refresh } = system

  for (const [expected, ms, rotations] of [
    ['recent', 11_000, 1],
    ['stale', 61_000, 1],
    ['unknown', 0, 2],
  ] as const) {
    const first = await signUp()
    let latest = first
    for (let i = 0; i < rotations; i++) latest = await refresh(latest.refreshToken)
    await advanceTime(system, first, ms)
    lines.length = 0
    await t.rejects(refresh(first.refreshToken), reused)
    const line = lines.map(text => JSON.parse(text)).find(({ msg }) => /^refresh token reused/.test(msg))
    t.match(line, { level: 40, reuse: expected, userId: first.user?.id, scope: 'user' })
    t.notOk(lines.join().includes(first.refreshToken ?? ''))
  }
})

t.test('a refresh token that failed while Redis was unavailable works after Redis has recovered', async t => {
  const server = await startTestRedis(t)
  const { signUp, login, refresh, redis } = await startAuthSystem(t, { redisUrl: server.url })
  const first = await signUp()
  await server.kill()
  await t.rejects(refresh(first.refreshToken), { code: Code.UNAVAILABLE })
  await t.rejects(login({ email: first.user?.email ?? '' }), { code: Code.UNAVAILABLE })
  await server.restart()
  if (redis.status !== 'ready') await new Promise(resolve => redis.once('ready', resolve))
  const second = await refresh(first.refreshToken)
  await refresh(second.refreshToken)
  t.pass('the same token works afterwards')

  const other = createRedis(server.url, silent)
  t.teardown(() => other.disconnect())
  await other.flushall()
  await t.rejects(refresh(second.refreshToken), ended)
})
