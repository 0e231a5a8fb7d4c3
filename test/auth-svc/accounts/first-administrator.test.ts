import { Writable } from 'node:stream'
import { sql } from 'kysely'
import { pino } from 'pino'
import t from 'tap'
import { Code } from '#runtime/status.ts'
import { until } from '../../support/until.ts'
import { startAuthSystem } from '../auth-system.ts'

const lines: string[] = []
const logger = pino(
  { level: 'trace' },
  new Writable({ write: (chunk, _, done) => done(void lines.push(String(chunk))) }),
)
const { database, server, userSvc, login, signUp, principalOf } = await startAuthSystem(t, { logger })
const { db } = database
const email = 'root@example.com'
const password = 'kettle-Harbour-93'

t.test('a weak password signs up no administrator', async t => {
  await t.rejects(server.ensureFirstAdministrator({ email, password: 'administrator' }), {
    code: Code.INVALID_ARGUMENT,
    violations: [{ field: 'password' }],
  })
  t.equal((await db.selectFrom('accounts').selectAll().execute()).length, 0)
})

t.test('the administrator is signed up while user-svc is unavailable, and completed by the job after that', async t => {
  await userSvc.stop()
  await Promise.all([1, 2, 3].map(() => server.ensureFirstAdministrator({ email: 'Root@Example.com', password })))
  t.match(await db.selectFrom('accounts').selectAll().execute(), [{ email, role: 'admin', status: 'pending' }])
  await userSvc.restart()
  await sql`update auth_jobs._private_jobs set run_at = now()`.execute(db)
  const background = await server.startBackground()
  await until(
    async () => (await db.selectFrom('accounts').select('status').executeTakeFirst())?.status,
    status => status === 'active',
  )
  await background.stop()
  t.match([...userSvc.users.values()], [{ email, role: 'admin' }])
  t.equal((await principalOf(await login({ email, password }))).role, 'admin')
})

t.test('a further boot does not change the administrator, whatever the settings are', async t => {
  const before = await db.selectFrom('accounts').selectAll().execute()
  await server.ensureFirstAdministrator({ email, password })
  await server.ensureFirstAdministrator({ email, password: 'quite-Another-77' })
  await server.ensureFirstAdministrator({ email, password: 'weak' })
  t.same(await db.selectFrom('accounts').selectAll().execute(), before)
})

t.test('an existing user with the e-mail address does not become an administrator', async t => {
  const { user } = await signUp()
  await server.ensureFirstAdministrator({ email: user?.email ?? '', password })
  t.equal((await principalOf(await login({ email: user?.email ?? '' }))).role, 'user')
  const warning = lines.map(line => JSON.parse(line)).find(({ msg }) => msg.startsWith('ADMIN_EMAIL'))
  t.match(warning, { level: 40, userId: user?.id, role: 'user' }, 'a warning names the account')
})

t.test('the password of the administrator is in no log line, job or row', async t => {
  const { rows: jobs } = await sql`select * from auth_jobs._private_jobs`.execute(db)
  const accounts = await db.selectFrom('accounts').selectAll().execute()
  for (const text of [lines.join(), JSON.stringify(jobs), JSON.stringify(accounts)]) {
    t.notOk(text.includes(password))
  }
})
