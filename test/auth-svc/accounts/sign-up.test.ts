import { type Kysely, sql } from 'kysely'
import t from 'tap'
import { callUnary } from '#runtime/grpc/client.ts'
import { Code } from '#runtime/status.ts'
import type { Tables } from '../../../auth-svc/tables.ts'
import { until } from '../../support/until.ts'
import { PASSWORD, startAuthSystem } from '../auth-system.ts'

const accountsOf = (db: Kysely<Tables>, email: string) =>
  db.selectFrom('accounts').selectAll().where('email', '=', email).execute()

async function listJobs(db: Kysely<Tables>) {
  const { rows } = await sql<{ key: string; task_identifier: string }>`select * from auth_jobs.jobs`.execute(db)
  return rows
}

t.test('sign-up', async t => {
  const { auth, database, userSvc, signUp, login, refresh, principalOf, newEmail } = await startAuthSystem(t)
  const { db } = database

  t.test('a sign-up returns the user and tokens, and the user can sign in', async t => {
    const email = newEmail()
    const tokens = await signUp({ email: email.toUpperCase() })
    t.match(tokens, { tokenType: 'Bearer', expiresIn: 900, refreshExpiresIn: 7 * 24 * 3600, refreshCookie: undefined })
    t.match(tokens.user, { email, name: 'Ada', role: 'user' })
    t.match(await principalOf(tokens), { userId: tokens.user?.id, role: 'user', email })
    t.match(await accountsOf(db, email), [{ status: 'active', sign_up_name: null }])
    t.same(await listJobs(db), [], 'the job is cancelled')
    t.equal((await login({ email })).user?.id, tokens.user?.id)
    await refresh(tokens.refreshToken)
  })

  t.test('a sign-up delivers the refresh token as `tokenDelivery` says, in a cookie by default', async t => {
    t.match(await signUp({ tokenDelivery: 'body' }), { refreshToken: String, refreshCookie: undefined })
    t.match(await signUp({ tokenDelivery: 'cookie' }), { refreshToken: undefined, refreshCookie: String })
    t.match(await signUp({ tokenDelivery: '' }), { refreshToken: undefined, refreshCookie: String })
  })

  t.test('a sign-up stores a hash and not the password', async t => {
    const email = newEmail()
    await signUp({ email })
    const dump = JSON.stringify([await accountsOf(db, email), await db.selectFrom('sessions').selectAll().execute()])
    t.notOk(dump.includes(PASSWORD))
    t.match(await accountsOf(db, email), [{ password_scheme: 'bcrypt-hmac-sha384', password_hash: /^\$2b\$/ }])
  })

  t.test('a repeated sign-up returns the same account in a new session', async t => {
    const email = newEmail()
    const first = await signUp({ email })
    const repeated = await signUp({ email: email.toUpperCase() })
    t.equal(repeated.user?.id, first.user?.id)
    t.not((await principalOf(repeated)).sessionId, (await principalOf(first)).sessionId)
  })

  t.test('a sign-up with another password, or repeated after ten minutes, returns email_taken', async t => {
    const email = newEmail()
    await signUp({ email })
    const taken = { code: Code.ALREADY_EXISTS, reason: 'email_taken' }
    await t.rejects(signUp({ email, password: 'quite-Another-77' }), taken)
    await db
      .updateTable('accounts')
      .set({ created_at: sql`now() - interval '10 minutes 1 second'` })
      .where('email', '=', email)
      .execute()
    await t.rejects(signUp({ email }), taken)
  })

  t.test('fifty concurrent equal sign-ups create one account and all return it', async t => {
    const email = newEmail()
    const before = userSvc.users.size
    const all = await Promise.all(Array.from({ length: 50 }, () => signUp({ email })))
    t.equal(new Set(all.map(({ user }) => user?.id)).size, 1)
    t.equal((await accountsOf(db, email)).length, 1)
    t.equal(userSvc.users.size, before + 1)
    t.same(await listJobs(db), [])
  })

  t.test('one of several concurrent sign-ups with different passwords gets the e-mail address', async t => {
    const email = newEmail()
    const all = await Promise.allSettled(
      Array.from({ length: 10 }, (_, index) => signUp({ email, password: `plum-Trombone-4${index}` })),
    )
    t.equal(all.filter(({ status }) => status === 'fulfilled').length, 1)
    for (const result of all) {
      if (result.status === 'rejected') t.match(result.reason, { code: Code.ALREADY_EXISTS, reason: 'email_taken' })
    }
  })

  t.test('a weak password is rejected with the field and the weakness', async t => {
    const email = newEmail()
    for (const password of ['password1', email, 'Lovelace']) {
      const error = await signUp({ email, password, name: 'Ada Lovelace' }).catch(error => error)
      t.match(error, { code: Code.INVALID_ARGUMENT, reason: 'invalid_argument' }, password)
      t.match(error.violations, [{ field: 'password', description: /^is too easy to guess\. \w+/ }])
    }
    t.same(await accountsOf(db, email), [])
  })

  t.test('a sign-up request that violates the contract is rejected', async t => {
    const invalidRequests = [
      { email: 'nobody' },
      { email: '' },
      { password: 'short' },
      { password: 'x'.repeat(257) },
      { name: 'a\u0000b' },
      { tokenDelivery: 'carrier pigeon' },
    ]
    for (const request of invalidRequests) {
      const [field] = Object.keys(request)
      await t.rejects(
        signUp(request),
        { code: Code.INVALID_ARGUMENT, violations: [{ field }] },
        JSON.stringify(request),
      )
    }
  })

  t.test('a sign-up with the e-mail address of another user in user-svc is rejected and leaves no account', async t => {
    const email = newEmail()
    const now = new Date()
    const id = '0190c0de-0000-7000-8000-000000000001'
    userSvc.users.set(id, { id, email, name: '', role: 'user', department: '', createdAt: now, updatedAt: now })
    await t.rejects(signUp({ email }), { code: Code.ALREADY_EXISTS, reason: 'email_taken' })
    t.same(await accountsOf(db, email), [])
    t.same(await listJobs(db), [])
    userSvc.users.delete(id)
    t.match(await signUp({ email }), { user: { email } })
  })

  t.test('a sign-up stores the name unchanged', async t => {
    const name = "Zoë O'Hara-吉田 😀"
    t.match(await signUp({ name }), { user: { name } })
    const withoutName = await callUnary(auth, auth.signUp, {
      email: newEmail(),
      password: PASSWORD,
      name: '',
      tokenDelivery: '',
    })
    t.match(withoutName, { user: { name: '' } })
  })
})

t.test('interrupted sign-up', async t => {
  const { database, server, userSvc, signUp, login, newEmail } = await startAuthSystem(t)
  const { db } = database

  /** Signs up while user-svc is unavailable, which leaves a pending account and its job. */
  async function interruptSignUp(): Promise<string> {
    const email = newEmail()
    await userSvc.stop()
    await t.rejects(signUp({ email }), { code: Code.UNAVAILABLE, reason: 'unavailable' })
    await userSvc.restart()
    t.match(await accountsOf(db, email), [{ status: 'pending', sign_up_name: 'Ada' }])
    t.match((await listJobs(db)).length, 1)
    return email
  }

  t.test('an interrupted sign-up is resumed by the same request', async t => {
    const email = await interruptSignUp()
    t.match(await signUp({ email }), { user: { email, name: 'Ada' } })
    t.match(await accountsOf(db, email), [{ status: 'active' }])
    t.same(await listJobs(db), [])
  })

  t.test('an interrupted sign-up is resumed by a sign-in', async t => {
    const email = await interruptSignUp()
    t.match(await login({ email }), { user: { email, name: 'Ada' } })
    t.match(await accountsOf(db, email), [{ status: 'active' }])
    t.same(await listJobs(db), [])
  })

  t.test('an interrupted sign-up of a deactivated user can neither be resumed nor sign in', async t => {
    const email = await interruptSignUp()
    const [account] = await accountsOf(db, email)
    userSvc.deactivated.add(account?.user_id ?? '')
    await t.rejects(signUp({ email }), { code: Code.ALREADY_EXISTS, reason: 'email_taken' })
    await t.rejects(login({ email }), { code: Code.UNAUTHENTICATED, reason: 'invalid_credentials' })
    t.match(await accountsOf(db, email), [{ status: 'pending' }])
    await db.deleteFrom('accounts').where('email', '=', email).execute()
    await sql`delete from auth_jobs._private_jobs`.execute(db)
  })

  t.test('an interrupted sign-up is completed by its job when the job is due', async t => {
    const email = await interruptSignUp()
    await sql`update auth_jobs._private_jobs set run_at = now()`.execute(db)
    const background = await server.startBackground()
    await until(
      async () => (await accountsOf(db, email))[0]?.status,
      status => status === 'active',
    )
    t.ok([...userSvc.users.values()].some(user => user.email === email && user.name === 'Ada'))
    await until(
      () => listJobs(db),
      jobs => jobs.length === 0,
    )
    await background.stop()
    t.match(await login({ email }), { user: { email } })
  })

  t.test('an interrupted sign-up is completed even if a worker crashed during its job', async t => {
    const email = await interruptSignUp()
    await sql`update auth_jobs._private_jobs set run_at = now(), locked_at = now(), locked_by = 'dead'`.execute(db)
    await db
      .updateTable('accounts')
      .set({ created_at: sql`now() - interval '2 minutes'` })
      .where('email', '=', email)
      .execute()
    const background = await server.startBackground()
    await until(
      async () => (await accountsOf(db, email))[0]?.status,
      status => status === 'active',
    )
    await background.stop()
    t.pass()
  })
})

t.test('the error of an unavailable user-svc does not reveal its address', async t => {
  const { userSvc, signUp } = await startAuthSystem(t)
  await userSvc.stop()
  const error = await signUp().catch(error => error)
  t.notOk(error.message.includes('127.0.0.1'), error.message)
  await userSvc.restart()
})
