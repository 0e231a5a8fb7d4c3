import { randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import t from 'tap'
import type { Tokens } from '#proto/auth/v1/auth.ts'
import type { ListUserSessionsResponse } from '#proto/auth/v1/sessions.ts'
import type { SessionRecord } from '#proto/user/v1/session_record.ts'
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

const listSessions = async ({ accessToken: token }: Tokens) =>
  (await callUnary(auth, auth.listSessions, {}, { token })).sessions
const endSession = ({ accessToken: token }: Tokens, id: string) => callUnary(auth, auth.endSession, { id }, { token })
const endAllSessions = ({ accessToken: token }: Tokens) => callUnary(auth, auth.endAllSessions, {}, { token })
const logout = (given: { token?: string; refreshToken?: string; refreshCookie?: string }) =>
  callUnary(
    auth,
    auth.logout,
    { refreshToken: given.refreshToken ?? '', refreshCookie: given.refreshCookie ?? '' },
    given.token === undefined ? {} : { token: given.token },
  )
const sessionOf = async (tokens: Tokens) => (await principalOf(tokens)).sessionId

t.test('sessions are listed with address, user agent and times, the last used first', async t => {
  const first = await signUp()
  const email = first.user?.email ?? ''
  const phone = await login({ email }, { address: '2001:db8::1', userAgent: `Phone/1 ${'x'.repeat(500)}` })
  await redis.hincrby(familyKey(await sessionOf(first)), 'rotated_at', -60_000)
  const [one, other, ...more] = await listSessions(phone)
  t.same(more, [])
  t.match(one, { id: await sessionOf(phone), address: '2001:db8::1', userAgent: /^Phone\/1 x+$/, current: true })
  t.equal(one?.userAgent.length, 400)
  t.match(other, { id: await sessionOf(first), current: false })
  const monthMs = 30 * 24 * 3600_000
  t.ok(Math.abs((one?.expiresAt?.getTime() ?? 0) - (one?.createdAt?.getTime() ?? 0) - monthMs) < 1000)

  const refreshed = await refresh(first.refreshToken)
  const [latest] = await listSessions(refreshed)
  t.match(latest, { id: await sessionOf(first), current: true }, 'the session refreshed last is first')
  t.ok((latest?.lastUsedAt?.getTime() ?? 0) >= (one?.lastUsedAt?.getTime() ?? 0))
})

t.test('sessions that have ended, have expired or have lost their refresh token family are not listed', async t => {
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
    (await listSessions(tokens)).map(({ id }) => id),
    [await sessionOf(tokens)],
  )
})

t.test('a user can neither list nor end the sessions of another user', async t => {
  const [ada, bob] = [await signUp(), await signUp()]
  const notFound = { code: Code.NOT_FOUND, reason: 'not_found' }
  await t.rejects(endSession(bob, await sessionOf(ada)), notFound)
  await t.rejects(endSession(bob, randomUUID()), notFound)
  await t.rejects(endSession(bob, 'no uuid'), { code: Code.INVALID_ARGUMENT, violations: [{ field: 'id' }] })
  await refresh(ada.refreshToken)
  for (const method of [auth.listSessions, auth.endAllSessions] as const) {
    await t.rejects(callUnary(auth, method as typeof auth.listSessions, {}), { code: Code.UNAUTHENTICATED })
  }
})

t.test('ending a session rejects its refresh token and revokes its access tokens', async t => {
  const tokens = await signUp()
  const other = await login({ email: tokens.user?.email ?? '' })
  const id = await sessionOf(other)
  const { revocations } = await endSession(tokens, id.toUpperCase())
  t.match(revocations, [{ target: { $case: 'sessionId', value: id }, notAfter: undefined, expiresAt: Date }])
  t.ok((revocations[0]?.expiresAt?.getTime() ?? 0) > (await principalOf(other)).expiresAt)
  await t.rejects(refresh(other.refreshToken), ended)
  await t.rejects(endSession(tokens, id), { code: Code.NOT_FOUND }, 'a session ends once')
  await refresh(tokens.refreshToken)
})

t.test('ending all sessions includes the current one and revokes every access token of the user', async t => {
  const tokens = await signUp()
  const other = await login({ email: tokens.user?.email ?? '' })
  const { revocations, refreshCookie } = await endAllSessions(tokens)
  t.match(revocations, [{ target: { $case: 'userId', value: tokens.user?.id }, notAfter: Date, expiresAt: Date }])
  t.equal(refreshCookie, '')
  for (const { refreshToken } of [tokens, other]) await t.rejects(refresh(refreshToken), ended)
  const notAfter = revocations[0]?.notAfter?.getTime() ?? 0
  t.ok((await principalOf(other)).issuedAt <= notAfter)
  const fresh = await login({ email: tokens.user?.email ?? '' })
  t.ok((await principalOf(fresh)).issuedAt > notAfter)
})

t.test(
  'after all sessions end during concurrent refreshes and sign-ins, a token is valid if and only if its session is',
  async t => {
    const tokens = await signUp()
    const email = tokens.user?.email ?? ''
    const before = await Promise.all(Array.from({ length: 5 }, () => login({ email })))
    for (let round = 0; round < 10; round++) {
      const issued: Tokens[] = []
      const collect = (promise: Promise<Tokens>) =>
        promise.then(
          found => void issued.push(found),
          error => t.match(error, ended, 'a refresh fails only because its session has ended'),
        )
      const [response] = await Promise.all([
        endAllSessions(tokens),
        ...before.map(({ refreshToken }) => collect(refresh(refreshToken))),
        ...Array.from({ length: 3 }, () => collect(login({ email }))),
      ])
      const notAfter = response.revocations[0]?.notAfter?.getTime() ?? 0
      for (const found of issued) {
        const { issuedAt } = await principalOf(found)
        const isActive = await refresh(found.refreshToken).then(
          () => true,
          () => false,
        )
        t.equal(issuedAt > notAfter, isActive, 'an access token is valid if and only if its session is active')
      }
    }
  },
)

t.test('logout', async t => {
  t.test('logout with a refresh token ends its session, and clears the cookie if it was sent as a cookie', async t => {
    const [byBody, byCookie] = [await signUp(), await signUp()]
    const one = await logout({ refreshToken: byBody.refreshToken ?? '' })
    t.match(one.revocations, [{ target: { $case: 'sessionId', value: await sessionOf(byBody) } }])
    t.equal(one.refreshCookie, undefined)
    const other = await logout({ refreshCookie: byCookie.refreshToken ?? '' })
    t.match(other.revocations, [{ target: { $case: 'sessionId', value: await sessionOf(byCookie) } }])
    t.equal(other.refreshCookie, '')
    for (const { refreshToken } of [byBody, byCookie]) await t.rejects(refresh(refreshToken), ended)
  })

  t.test('logout with an access token ends its session if there is no valid refresh token', async t => {
    for (const refreshCookie of ['', 'rubbish']) {
      const tokens = await signUp()
      const { revocations } = await logout({ token: tokens.accessToken, refreshCookie })
      t.match(revocations, [{ target: { $case: 'sessionId', value: await sessionOf(tokens) } }])
      await t.rejects(refresh(tokens.refreshToken), ended)
    }
  })

  t.test('logout ends the sessions of all tokens that the request has', async t => {
    const [byToken, byCookie, byBody] = [await signUp(), await signUp(), await signUp()]
    const { revocations } = await logout({
      token: byToken.accessToken,
      refreshCookie: byCookie.refreshToken ?? '',
      refreshToken: byBody.refreshToken ?? '',
    })
    t.same(
      new Set(revocations.map(({ target }) => target?.value)),
      new Set([await sessionOf(byToken), await sessionOf(byCookie), await sessionOf(byBody)]),
    )
    for (const { refreshToken } of [byToken, byCookie, byBody]) await t.rejects(refresh(refreshToken), ended)

    const one = await signUp()
    const again = {
      token: one.accessToken,
      refreshCookie: one.refreshToken ?? '',
      refreshToken: one.refreshToken ?? '',
    }
    t.equal((await logout(again)).revocations.length, 1, 'a session is ended once')
  })

  t.test('logout with an older refresh token ends its session', async t => {
    const tokens = await signUp()
    const next = await refresh((await refresh(tokens.refreshToken)).refreshToken)
    t.equal((await logout({ refreshToken: tokens.refreshToken ?? '' })).revocations.length, 1)
    await t.rejects(refresh(next.refreshToken), ended)
  })

  t.test('logout with an invalid token, or of an ended session, succeeds and clears the cookie', async t => {
    const tokens = await signUp()
    await logout({ refreshToken: tokens.refreshToken ?? '' })
    for (const refreshCookie of [tokens.refreshToken ?? '', 'rubbish', 'a.1.b']) {
      t.match(await logout({ refreshCookie }), { revocations: [], refreshCookie: '' })
    }
    t.match(await logout({}), { revocations: [], refreshCookie: undefined })
    t.match(await logout({ token: 'rubbish' }), { revocations: [], refreshCookie: undefined })
  })

  t.test('logout with a forged refresh token ends no session', async t => {
    const tokens = await signUp()
    const [session, , mac] = tokens.refreshToken?.split('.') ?? []
    t.same((await logout({ refreshToken: `${session}.9.${mac}` })).revocations, [])
    await refresh(tokens.refreshToken)
  })

  t.test('logout works while user-svc is unavailable', async t => {
    const tokens = await signUp()
    await userSvc.stop()
    t.equal((await logout({ refreshToken: tokens.refreshToken ?? '' })).revocations.length, 1)
    await userSvc.restart()
  })
})

t.test('while Redis is unavailable sessions can be ended, and listing them fails', async t => {
  const server = await startTestRedis(t)
  const system = await startAuthSystem(t, { redisUrl: server.url })
  const one = await system.signUp()
  const two = await system.login({ email: one.user?.email ?? '' })
  await server.kill()
  const { accessToken: token } = one
  await t.rejects(callUnary(system.auth, system.auth.listSessions, {}, { token }), { code: Code.UNAVAILABLE })
  const response = await callUnary(
    system.auth,
    system.auth.logout,
    { refreshToken: two.refreshToken ?? '', refreshCookie: '' },
    { timeoutMs: 5000 },
  )
  t.equal(response.revocations.length, 1)
  const all = await callUnary(system.auth, system.auth.endAllSessions, {}, { token, timeoutMs: 5000 })
  t.equal(all.revocations.length, 1)
  await t.rejects(system.refresh(one.refreshToken), ended)
})

t.test('sessions are deleted a day after they have expired', async t => {
  const tokens = await signUp()
  const id = await sessionOf(tokens)
  await db.updateTable('sessions').set({ expires_at: sql`now() - interval '25 hours'` }).where('id', '=', id).execute()
  await createSessionRepository(db).deleteExpired()
  t.same(await db.selectFrom('sessions').select('id').where('id', '=', id).execute(), [])
})

t.test('the stored sessions of a user include ended and expired ones, page by page, without credentials', async t => {
  const tokens = await signUp()
  const email = tokens.user?.email ?? ''
  const userId = tokens.user?.id ?? ''
  const phone = await login({ email }, { address: '2001:db8::1', userAgent: 'Phone/1' })
  const loggedOut = await login({ email })
  await logout({ refreshToken: loggedOut.refreshToken ?? '' })
  const lost = await login({ email })
  await redis.del(familyKey(await sessionOf(lost)))
  await sql`
    insert into sessions (id, user_id, refresh_nonce, user_agent, address, expires_at)
    select uuidv7(), ${userId}, '\\x00', 'Old', '', now() from generate_series(1, 210)`.execute(db)

  const { sessions: client } = system
  const pageOf = (token: string, pageToken = '') =>
    callUnary(client, client.listUserSessions, { userId, pageToken }, { token })
  const sessions: SessionRecord[] = []
  const sizes: number[] = []
  for (let pageToken: string | undefined = ''; pageToken !== undefined; ) {
    const page: ListUserSessionsResponse = await pageOf(phone.accessToken, pageToken)
    sessions.push(...page.sessions)
    sizes.push(page.sessions.length)
    pageToken = page.nextPageToken || undefined
  }
  t.same(sizes, [100, 100, 14])
  t.equal(new Set(sessions.map(({ id }) => id)).size, 214)
  t.same(
    sessions.slice(0, 4).map(({ id }) => id),
    await Promise.all([tokens, phone, loggedOut, lost].map(sessionOf)),
  )
  t.match(sessions.slice(0, 5), [
    { lastUsedAt: Date, endedAt: undefined, endReason: '' },
    { address: '2001:db8::1', userAgent: 'Phone/1', createdAt: Date, expiresAt: Date, lastUsedAt: Date },
    { endedAt: Date, endReason: 'logout' },
    { lastUsedAt: undefined, endedAt: undefined },
    { userAgent: 'Old' },
  ])
  t.strictSame(
    Object.keys(sessions[0] ?? {}).sort(),
    ['address', 'createdAt', 'endReason', 'endedAt', 'expiresAt', 'id', 'lastUsedAt', 'userAgent'],
    'neither nonce nor refresh token',
  )

  const other = await signUp()
  await t.rejects(pageOf(other.accessToken), { code: Code.PERMISSION_DENIED })
  await t.rejects(callUnary(client, client.listUserSessions, { userId, pageToken: '' }), { code: Code.UNAUTHENTICATED })
  await db
    .updateTable('accounts')
    .set({ role: 'moderator' })
    .where('user_id', '=', other.user?.id ?? '')
    .execute()
  await t.rejects(pageOf((await refresh(other.refreshToken)).accessToken), { code: Code.PERMISSION_DENIED })
  const admin = await signUp()
  await db
    .updateTable('accounts')
    .set({ role: 'admin' })
    .where('user_id', '=', admin.user?.id ?? '')
    .execute()
  const { accessToken: token } = await refresh(admin.refreshToken)
  t.equal((await pageOf(token)).sessions.length, 100)
  const unknown = { userId: randomUUID(), pageToken: '' }
  t.same((await callUnary(client, client.listUserSessions, unknown, { token })).sessions, [], 'a user without sessions')
})
