import t from 'tap'
import { withClient } from '../../deploy/dev/provision.ts'
import { startPgBouncer } from '../support/pgbouncer.ts'
import { getMe, login, refresh, request, signUp } from '../support/rest-client.ts'
import { openTestDatabase } from '../support/test-database.ts'
import { startSystem } from '../support/test-system.ts'

const databases = await openTestDatabase(t)
const pooler = await startPgBouncer(t, databases, 2)

t.test(
  'the system works through PgBouncer in transaction mode, with fewer server connections than its pools have',
  {
    skip: pooler === undefined && 'pgbouncer is not installed, and its Debian package cannot be installed',
  },
  async t => {
    if (pooler === undefined) return
    const system = await startSystem(t, {
      databases: pooler.urls,
      env: { DATABASE_PREPARED: 'off', DATABASE_POOL_SIZE: '12' },
    })

    const ada = await signUp(system.url)
    const rename = (name: string) =>
      request('PATCH', `${system.url}/v1/users/me`, { token: ada.accessToken, body: { name } })
    const names = Array.from({ length: 40 }, (_, index) => `Ada ${index}`)
    const renamed = await Promise.all(names.map(rename))
    t.same(
      renamed.map(response => response.status),
      names.map(() => 200),
    )
    t.same(
      renamed.map(response => (response.body as { name: string }).name),
      names,
      'each request gets the result of its own statement',
    )

    const people = await Promise.all(Array.from({ length: 5 }, () => signUp(system.url)))
    const deactivated = await Promise.all(
      people.map(({ accessToken }) => request('DELETE', `${system.url}/v1/users/me`, { token: accessToken })),
    )
    t.same(
      deactivated.map(response => response.status),
      people.map(() => 204),
      'transactions with locks and settings work',
    )
    for (const { user } of people) t.equal((await login(system.url, user.email)).status, 401)

    const refreshed = await refresh(system.url, ada.refreshToken)
    t.equal(refreshed.status, 200)
    t.match(await getMe(system.url, (refreshed.body as { accessToken: string }).accessToken), { status: 200 })

    const { rows } = await withClient(pooler.urls.userUrl, client =>
      client.query("select current_schema() as schema, current_setting('statement_timeout') as time"),
    )
    t.same(
      rows,
      [{ schema: 'users', time: '2500ms' }],
      'the search path and the statement timeout apply through PgBouncer',
    )

    const connections = await pooler.serverConnections()
    t.same(Object.keys(connections).sort(), ['auth_svc', 'user_svc'])
    for (const [role, count] of Object.entries(connections))
      t.ok(count <= pooler.poolSize, `${role} has ${count} server connections`)
  },
)
