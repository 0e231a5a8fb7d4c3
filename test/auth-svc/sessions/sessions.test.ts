import { randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import t from 'tap'
import type { Tokens } from '#proto/auth/v1/auth.ts'
import { callUnary } from '#runtime/grpc/client.ts'
import { Code } from '#runtime/status.ts'
import { familyKey } from '../../../auth-svc/sessions/refresh-families.ts'
import { createSessionRepository } from '../../../auth-svc/sessions/session-repository.ts'
import { startTestRedis } from '../../support/test-redis.ts'
import { startAuthSystem } from '../auth-system.ts'

const ended = { code: Code.UNAUTHENTICATED, reason: 'session_ended' }
const system = await startAuthSystem(t)
const { auth, database, redis, signUp, login, refresh, principalOf, userSvc } = system
const { db } = database

const list = async ({ accessToken: token }: Tokens) =>
  (await callUnary(auth, auth.listSessions, {}, { token })).sessions
const end = ({ accessToken: token }: Tokens, id: string) => callUnary(auth, auth.endSession, { id }, { token })
const endAll = ({ accessToken: token }: Tokens) => callUnary(auth, auth.endAllSessions, {}, { token })
const logout = (given: { token?: string; refreshToken?: string; refreshCookie?: string }) =>
  callUnary(
    auth,
    auth.logout,
    { refreshToken: given.refreshToken ?? '', refreshCookie: given.refreshCookie ?? '' },
    given.token === undefined ? {} : { token: given.token },
  )
const sessionOf = async (tokens: Tokens) => (await principalOf(tokens)).sessionId

t.test('a user sees their sessions: where from, since when, which is this one', async t => {
  const first = await signUp()
  const email = first.user?.email ?? ''
  const phone = await login({ email }, { address: '2001:db8::1', userAgent: `Phone/1 ${'x'.repeat(500)}` })
  await redis.hincrby(familyKey(await sessionOf(first)), 'rotated_at', -60_000)
  const [one, other, ...more] = await list(phone)
  t.same(more, [])
  t.match(one, { id: await sessionOf(phone), address: '2001:db8::1', userAgent: /^Phone\/1 x+$/, current: true })
  t.equal(one?.userAgent.length, 400)
  t.match(other, { id: await sessionOf(first), current: false })
  const monthMs = 30 * 24 * 3600_000
  t.ok(Math.abs((one?.expiresAt?.getTime() ?? 0) - (one?.createdAt?.getTime() ?? 0) - monthMs) < 1000)

  const refreshed = await refresh(first.refreshToken)
  const [latest] = await list(refreshed)
  t.match(latest, { id: await sessionOf(first), current: true }, 'the one last used comes first')
  t.ok((latest?.lastUsedAt?.getTime() ?? 0) >= (one?.lastUsedAt?.getTime() ?? 0))
})

t.test('sessions that cannot be used any more are not shown', async t => {
  const tokens = await signUp()
  const email = tokens.user?.email ?? ''
  const [loggedOut, expired, unused] = [await login({ email }), await login({ email }), await login({ email })]
  await logout({ refreshToken: loggedOut.refreshToken ?? '' })
  await db
    .updateTable('sessions')
    .set({ expires_at: sql`now()` })
    .where('id', '=', await sessionOf(expired))
    .execute()
  await redis.del(familyKey(await sessionOf(unused)))
  t.same(
    (await list(tokens)).map(({ id }) => id),
    [await sessionOf(tokens)],
  )
})

t.test('nobody sees or ends the sessions of another', async t => {
  const [ada, bob] = [await signUp(), await signUp()]
  const notFound = { code: Code.NOT_FOUND, reason: 'not_found' }
  await t.rejects(end(bob, await sessionOf(ada)), notFound)
  await t.rejects(end(bob, randomUUID()), notFound)
  await t.rejects(end(bob, 'no uuid'), { code: Code.INVALID_ARGUMENT, violations: [{ field: 'id' }] })
  await refresh(ada.refreshToken)
  for (const method of [auth.listSessions, auth.endAllSessions] as const) {
    await t.rejects(callUnary(auth, method as typeof auth.listSessions, {}), { code: Code.UNAUTHENTICATED })
  }
})

t.test('a session that is ended by its user is over, and its access tokens are revoked', async t => {
  const tokens = await signUp()
  const other = await login({ email: tokens.user?.email ?? '' })
  const id = await sessionOf(other)
  const { revocations } = await end(tokens, id.toUpperCase())
  t.match(revocations, [{ target: { $case: 'sessionId', value: id }, notAfter: undefined, expiresAt: Date }])
  t.ok((revocations[0]?.expiresAt?.getTime() ?? 0) > (await principalOf(other)).expiresAt)
  await t.rejects(refresh(other.refreshToken), ended)
  await t.rejects(end(tokens, id), { code: Code.NOT_FOUND }, 'it ends once')
  await refresh(tokens.refreshToken)
})

t.test('all sessions end, this one included', async t => {
  const tokens = await signUp()
  const other = await login({ email: tokens.user?.email ?? '' })
  const { revocations, refreshCookie } = await endAll(tokens)
  t.match(revocations, [{ target: { $case: 'userId', value: tokens.user?.id }, notAfter: Date, expiresAt: Date }])
  t.equal(refreshCookie, '')
  for (const { refreshToken } of [tokens, other]) await t.rejects(refresh(refreshToken), ended)
  const notAfter = revocations[0]?.notAfter?.getTime() ?? 0
  t.ok((await principalOf(other)).issuedAt <= notAfter)
  const fresh = await login({ email: tokens.user?.email ?? '' })
  t.ok((await principalOf(fresh)).issuedAt > notAfter)
})

t.test('ending everything while everything is going on leaves nothing alive that was', async t => {
  const tokens = await signUp()
  const email = tokens.user?.email ?? ''
  const before = await Promise.all(Array.from({ length: 5 }, () => login({ email })))
  for (let round = 0; round < 10; round++) {
    const issued: Tokens[] = []
    const collect = (promise: Promise<Tokens>) =>
      promise.then(
        found => void issued.push(found),
        error => t.match(error, ended, 'nothing but the end stands in the way'),
      )
    const [answer] = await Promise.all([
      endAll(tokens),
      ...before.map(({ refreshToken }) => collect(refresh(refreshToken))),
      ...Array.from({ length: 3 }, () => collect(login({ email }))),
    ])
    const notAfter = answer.revocations[0]?.notAfter?.getTime() ?? 0
    for (const found of issued) {
      const { issuedAt } = await principalOf(found)
      const lives = await refresh(found.refreshToken).then(
        () => true,
        () => false,
      )
      t.equal(issuedAt > notAfter, lives, 'a token is good as long as its session')
    }
  }
})

t.test('signing out', async t => {
  t.test('by refresh token ends its session, and clears the cookie if one came', async t => {
    const [byBody, byCookie] = [await signUp(), await signUp()]
    const one = await logout({ refreshToken: byBody.refreshToken ?? '' })
    t.match(one.revocations, [{ target: { $case: 'sessionId', value: await sessionOf(byBody) } }])
    t.equal(one.refreshCookie, undefined)
    const other = await logout({ refreshCookie: byCookie.refreshToken ?? '' })
    t.match(other.revocations, [{ target: { $case: 'sessionId', value: await sessionOf(byCookie) } }])
    t.equal(other.refreshCookie, '')
    for (const { refreshToken } of [byBody, byCookie]) await t.rejects(refresh(refreshToken), ended)
  })

  t.test('by access token, where no refresh token comes or none of ours', async t => {
    for (const refreshCookie of ['', 'rubbish']) {
      const tokens = await signUp()
      const { revocations } = await logout({ token: tokens.accessToken, refreshCookie })
      t.match(revocations, [{ target: { $case: 'sessionId', value: await sessionOf(tokens) } }])
      await t.rejects(refresh(tokens.refreshToken), ended)
    }
  })

  t.test('by an older refresh token of the session too', async t => {
    const tokens = await signUp()
    const next = await refresh((await refresh(tokens.refreshToken)).refreshToken)
    t.equal((await logout({ refreshToken: tokens.refreshToken ?? '' })).revocations.length, 1)
    await t.rejects(refresh(next.refreshToken), ended)
  })

  t.test('of what has ended or never was succeeds, and clears the cookie', async t => {
    const tokens = await signUp()
    await logout({ refreshToken: tokens.refreshToken ?? '' })
    for (const refreshCookie of [tokens.refreshToken ?? '', 'rubbish', 'a.1.b']) {
      t.match(await logout({ refreshCookie }), { revocations: [], refreshCookie: '' })
    }
    t.match(await logout({}), { revocations: [], refreshCookie: undefined })
    t.match(await logout({ token: 'rubbish' }), { revocations: [], refreshCookie: undefined })
  })

  t.test('ends nothing for a forged refresh token', async t => {
    const tokens = await signUp()
    const [session, , mac] = tokens.refreshToken?.split('.') ?? []
    t.same((await logout({ refreshToken: `${session}.9.${mac}` })).revocations, [])
    await refresh(tokens.refreshToken)
  })

  t.test('works while user-svc is away', async t => {
    const tokens = await signUp()
    await userSvc.stop()
    t.equal((await logout({ refreshToken: tokens.refreshToken ?? '' })).revocations.length, 1)
    await userSvc.restart()
  })
})

t.test('without Redis sessions end all the same; they are not listed half', async t => {
  const server = await startTestRedis(t)
  const other = await startAuthSystem(t, { redisUrl: server.url })
  const one = await other.signUp()
  const two = await other.login({ email: one.user?.email ?? '' })
  await server.kill()
  const { accessToken: token } = one
  await t.rejects(callUnary(other.auth, other.auth.listSessions, {}, { token }), { code: Code.UNAVAILABLE })
  const answer = await callUnary(
    other.auth,
    other.auth.logout,
    { refreshToken: two.refreshToken ?? '', refreshCookie: '' },
    { timeoutMs: 5000 },
  )
  t.equal(answer.revocations.length, 1)
  const all = await callUnary(other.auth, other.auth.endAllSessions, {}, { token, timeoutMs: 5000 })
  t.equal(all.revocations.length, 1)
  await t.rejects(other.refresh(one.refreshToken), ended)
})

t.test('sessions long over are forgotten', async t => {
  const tokens = await signUp()
  const id = await sessionOf(tokens)
  await db.updateTable('sessions').set({ expires_at: sql`now() - interval '25 hours'` }).where('id', '=', id).execute()
  await createSessionRepository(db).deleteExpired()
  t.same(await db.selectFrom('sessions').select('id').where('id', '=', id).execute(), [])
})
