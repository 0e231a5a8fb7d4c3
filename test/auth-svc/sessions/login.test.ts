import bcrypt from '@node-rs/bcrypt'
import t from 'tap'
import { Code, StatusError } from '#runtime/status.ts'
import { PASSWORD, startAuthSystem } from '../auth-system.ts'

const invalidCredentials = { code: Code.UNAUTHENTICATED, reason: 'invalid_credentials' }

t.test('sign-in', async t => {
  const { database, userSvc, signUp, login, refresh, principalOf, newEmail } = await startAuthSystem(t)
  const { db } = database
  const email = newEmail()
  const { user } = await signUp({ email, name: 'Ada' })

  t.test('a sign-in returns the user and the tokens of a new session', async t => {
    const one = await login({ email })
    const other = await login({ email })
    t.match(one, { tokenType: 'Bearer', expiresIn: 900, refreshExpiresIn: 7 * 24 * 3600, user: { email, name: 'Ada' } })
    t.not((await principalOf(one)).sessionId, (await principalOf(other)).sessionId)
    await refresh(one.refreshToken)
    await refresh(other.refreshToken)
  })

  t.test('a sign-in delivers the refresh token as `tokenDelivery` says, in a cookie by default', async t => {
    t.match(await login({ email, tokenDelivery: 'body' }), { refreshToken: String, refreshCookie: undefined })
    for (const tokenDelivery of ['cookie', '']) {
      t.match(await login({ email, tokenDelivery }), { refreshToken: undefined, refreshCookie: String })
    }
  })

  t.test('a sign-in accepts the e-mail address in any case', async t => {
    t.equal((await login({ email: email.toUpperCase() })).user?.id, user?.id)
  })

  t.test('an unknown address, a wrong password and an invalid address give the same error', async t => {
    const errors = await Promise.all(
      [
        { email: newEmail(), password: PASSWORD },
        { email, password: 'wrong' },
        { email, password: `${PASSWORD} ` },
        { email: 'no address', password: PASSWORD },
      ].map(request => login(request).catch(error => error)),
    )
    for (const { code, reason, message, violations } of errors) {
      t.match({ code, reason }, invalidCredentials)
      t.same({ message, violations }, { message: errors[0].message, violations: [] })
    }
  })

  t.test('a sign-in replaces an imported bcrypt hash once', async t => {
    const { password_hash: before } = await db
      .selectFrom('accounts')
      .select('password_hash')
      .where('email', '=', email)
      .executeTakeFirstOrThrow()
    const imported = (await bcrypt.hash('imported password', 4)).replace('$2b$', '$2y$')
    await db
      .updateTable('accounts')
      .set({ password_scheme: 'bcrypt', password_hash: imported })
      .where('email', '=', email)
      .execute()
    await t.rejects(login({ email, password: 'another password' }), invalidCredentials)
    await login({ email, password: 'imported password' })
    const { password_scheme, password_hash } = await db
      .selectFrom('accounts')
      .select(['password_scheme', 'password_hash'])
      .where('email', '=', email)
      .executeTakeFirstOrThrow()
    t.equal(password_scheme, 'bcrypt-hmac-sha384')
    await login({ email, password: 'imported password' })
    const { password_hash: after } = await db
      .selectFrom('accounts')
      .select('password_hash')
      .where('email', '=', email)
      .executeTakeFirstOrThrow()
    t.equal(after, password_hash, 'the new hash is not replaced again')
    await db.updateTable('accounts').set({ password_hash: before }).where('email', '=', email).execute()
  })

  t.test('a sign-in fails and leaves no session while user-svc is unavailable', async t => {
    const countSessions = async () =>
      (
        await db
          .selectFrom('sessions')
          .select(eb => eb.fn.countAll<bigint>().as('n'))
          .executeTakeFirstOrThrow()
      ).n
    const before = await countSessions()
    await userSvc.stop()
    await t.rejects(login({ email }), { code: Code.UNAVAILABLE })
    await t.rejects(login({ email, password: 'wrong' }), invalidCredentials, 'a wrong password is still reported')
    await userSvc.restart()
    t.equal(await countSessions(), before)
    await login({ email })
  })

  t.test('a sign-in of a user that user-svc does not have is rejected', async t => {
    const removed = await signUp()
    userSvc.users.delete(removed.user?.id ?? '')
    await t.rejects(login({ email: removed.user?.email ?? '' }), invalidCredentials)
  })

  t.test('a sign-in request that violates the contract is rejected', async t => {
    for (const request of [{ email: '' }, { email, password: '' }, { email, tokenDelivery: 'x' }]) {
      await t.rejects(login(request), { code: Code.INVALID_ARGUMENT }, JSON.stringify(request))
    }
  })
})

t.test('sign-ins beyond the password queue are rejected as overloaded, and refreshes are served meanwhile', async t => {
  const { signUp, login, refresh } = await startAuthSystem(t, {
    settings: { BCRYPT_COST: 11, PASSWORD_QUEUE_LIMIT: 2 },
  })
  const { user, refreshToken } = await signUp()
  const logins = Array.from({ length: 20 }, () => login({ email: user?.email ?? '' }).catch(error => error))
  const refreshed = await refresh(refreshToken)
  t.ok(refreshed.accessToken, 'a refresh needs no password and is served')
  const results = await Promise.all(logins)
  const rejected = results.filter(result => result instanceof StatusError)
  t.ok(rejected.length > 0 && rejected.length < 20, `${rejected.length} of 20 sign-ins were rejected`)
  for (const { code, reason, retryAfterMs } of rejected) {
    t.match({ code, reason }, { code: Code.UNAVAILABLE, reason: 'overloaded' })
    t.ok(retryAfterMs !== undefined && retryAfterMs > 0)
  }
})

t.test('failed sign-ins are limited by the client address that the gateway reports', async t => {
  const { signUp, login, newEmail, userSvc } = await startAuthSystem(t, { settings: { SIGN_IN_FAILURES: 5 } })
  const { user } = await signUp()
  const email = user?.email ?? ''
  const clientAt = (address: string) => ({ address, userAgent: '' })
  const office = clientAt('198.51.100.7')
  const limited = { code: Code.RESOURCE_EXHAUSTED, reason: 'rate_limited' }

  t.equal((await Promise.all(Array.from({ length: 12 }, () => login({ email }, office)))).length, 12)
  const guesses = await Promise.all(
    Array.from({ length: 12 }, (_, n) =>
      login({ email: n % 2 ? email : newEmail(), password: 'wrong' }, office).catch(error => error),
    ),
  )
  t.equal(guesses.filter(({ reason }) => reason === 'invalid_credentials').length, 5)
  t.match(
    guesses.find(({ reason }) => reason === 'rate_limited'),
    { ...limited, quota: { name: 'sign-in', limit: 5, windowS: 900, remaining: 0 } },
  )
  await t.rejects(login({ email }, office), limited)
  await login({ email }, clientAt('198.51.100.8'))

  const removed = await signUp()
  userSvc.users.delete(removed.user?.id ?? '')
  const guesser = clientAt('198.51.100.9')
  const errors = []
  for (let n = 0; n < 6; n++) {
    errors.push(await login({ email: removed.user?.email ?? '' }, guesser).catch(error => error.reason))
  }
  t.strictSame(
    errors,
    [...Array(5).fill('invalid_credentials'), 'rate_limited'],
    'the right password of a deactivated user counts as every other failure, so that the quota does not reveal it',
  )
})
