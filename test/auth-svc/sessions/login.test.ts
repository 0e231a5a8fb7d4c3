import bcrypt from '@node-rs/bcrypt'
import t from 'tap'
import { Code, StatusError } from '#runtime/status.ts'
import { PASSWORD, startAuthSystem } from '../auth-system.ts'

const wrong = { code: Code.UNAUTHENTICATED, reason: 'invalid_credentials' }

t.test('signing in', async t => {
  const { database, userSvc, signUp, login, refresh, principalOf, newEmail } = await startAuthSystem(t)
  const { db } = database
  const email = newEmail()
  const { user } = await signUp({ email, name: 'Ada' })

  t.test('answers tokens and the user, in a session of its own', async t => {
    const one = await login({ email })
    const other = await login({ email })
    t.match(one, { tokenType: 'Bearer', expiresIn: 900, refreshExpiresIn: 7 * 24 * 3600, user: { email, name: 'Ada' } })
    t.not((await principalOf(one)).sessionId, (await principalOf(other)).sessionId)
    await refresh(one.refreshToken)
    await refresh(other.refreshToken)
  })

  t.test('puts the refresh token where it was asked for, in a cookie unless told', async t => {
    t.match(await login({ email, tokenDelivery: 'body' }), { refreshToken: String, refreshCookie: undefined })
    for (const tokenDelivery of ['cookie', '']) {
      t.match(await login({ email, tokenDelivery }), { refreshToken: undefined, refreshCookie: String })
    }
  })

  t.test('takes the address however it is written', async t => {
    t.equal((await login({ email: email.toUpperCase() })).user?.id, user?.id)
  })

  t.test('answers the same for an unknown address, a wrong password and what is no address', async t => {
    const answers = await Promise.all(
      [
        { email: newEmail(), password: PASSWORD },
        { email, password: 'wrong' },
        { email, password: `${PASSWORD} ` },
        { email: 'no address', password: PASSWORD },
      ].map(request => login(request).catch(error => error)),
    )
    for (const { code, reason, message, violations } of answers) {
      t.match({ code, reason }, wrong)
      t.same({ message, violations }, { message: answers[0].message, violations: [] })
    }
  })

  t.test('replaces a plain hash from elsewhere, and one of a lower cost', async t => {
    const { password_hash: before } = await db
      .selectFrom('accounts')
      .select('password_hash')
      .where('email', '=', email)
      .executeTakeFirstOrThrow()
    const imported = (await bcrypt.hash('from elsewhere', 4)).replace('$2b$', '$2y$')
    await db
      .updateTable('accounts')
      .set({ password_scheme: 'bcrypt', password_hash: imported })
      .where('email', '=', email)
      .execute()
    await t.rejects(login({ email, password: 'something else' }), wrong)
    await login({ email, password: 'from elsewhere' })
    const { password_scheme, password_hash } = await db
      .selectFrom('accounts')
      .select(['password_scheme', 'password_hash'])
      .where('email', '=', email)
      .executeTakeFirstOrThrow()
    t.equal(password_scheme, 'bcrypt-hmac-sha384')
    await login({ email, password: 'from elsewhere' })
    const { password_hash: after } = await db
      .selectFrom('accounts')
      .select('password_hash')
      .where('email', '=', email)
      .executeTakeFirstOrThrow()
    t.equal(after, password_hash, 'once')
    await db.updateTable('accounts').set({ password_hash: before }).where('email', '=', email).execute()
  })

  t.test('is refused while user-svc is away, and leaves no session', async t => {
    const count = async () =>
      (
        await db
          .selectFrom('sessions')
          .select(eb => eb.fn.countAll<bigint>().as('n'))
          .executeTakeFirstOrThrow()
      ).n
    const before = await count()
    await userSvc.stop()
    await t.rejects(login({ email }), { code: Code.UNAVAILABLE })
    await t.rejects(login({ email, password: 'wrong' }), wrong, 'a wrong password still is one')
    await userSvc.restart()
    t.equal(await count(), before)
    await login({ email })
  })

  t.test('is refused to a user whom user-svc no longer has', async t => {
    const gone = await signUp()
    userSvc.users.delete(gone.user?.id ?? '')
    await t.rejects(login({ email: gone.user?.email ?? '' }), wrong)
  })

  t.test('what the contract forbids is refused', async t => {
    for (const request of [{ email: '' }, { email, password: '' }, { email, tokenDelivery: 'x' }]) {
      await t.rejects(login(request), { code: Code.INVALID_ARGUMENT }, JSON.stringify(request))
    }
  })
})

t.test('more people than can be served', async t => {
  const { signUp, login, refresh } = await startAuthSystem(t, {
    settings: { BCRYPT_COST: 11, PASSWORD_QUEUE_LIMIT: 2 },
  })
  const { user, refreshToken } = await signUp()
  const logins = Array.from({ length: 20 }, () => login({ email: user?.email ?? '' }).catch(error => error))
  const refreshed = await refresh(refreshToken)
  t.ok(refreshed.accessToken, 'whoever does not sign in is served meanwhile')
  const answers = await Promise.all(logins)
  const turnedAway = answers.filter(answer => answer instanceof StatusError)
  t.ok(turnedAway.length > 0 && turnedAway.length < 20, `${turnedAway.length} of 20 were turned away`)
  for (const { code, reason, retryAfterMs } of turnedAway) {
    t.match({ code, reason }, { code: Code.UNAVAILABLE, reason: 'overloaded' })
    t.ok(retryAfterMs !== undefined && retryAfterMs > 0)
  }
})
