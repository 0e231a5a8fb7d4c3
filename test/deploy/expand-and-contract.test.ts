/**
 * Adds a NOT NULL column to user-svc in three migrations while the service handles calls. The column `email_domain` is
 * an example, so its migrations are here and not in user-svc.
 */
import { randomUUID } from 'node:crypto'
import { cp, mkdtemp, rm } from 'node:fs/promises'
import path from 'node:path'
import { sql } from 'kysely'
import { pino } from 'pino'
import t from 'tap'
import { callUnary } from '#runtime/grpc/client.ts'
import { migrate, migrateDown } from '#runtime/postgres/migrations.ts'
import { ROOT } from '../../deploy/dev/migrate.ts'
import { runStores } from '../support/run-stores.ts'
import { urlsOf } from '../support/stores.ts'
import { until } from '../support/until.ts'
import { createDocumentClient } from '../user-svc/documents/document-client.ts'
import { startUserSystem } from '../user-svc/user-system.ts'

const USERS = 20_000

t.test('expand, backfill and contract under load fail no call and fill every row', async t => {
  const system = await startUserSystem(t)
  const { db } = system.database
  const docs = createDocumentClient(system.docs)
  await sql`
    insert into users_all (id, email) select gen_random_uuid(), 'old-' || n || '@before.example'
    from generate_series(1, ${USERS}::int) n`.execute(db)
  const { rows: names } = await sql<{ name: string }>`select current_database() as name`.execute(db)
  const { userUrl: url } = urlsOf((await runStores()).postgres, names[0]?.name ?? '')
  const folder = await mkdtemp(path.join(import.meta.dirname, '.migrations-'))
  t.teardown(() => rm(folder, { recursive: true }))
  await cp(path.join(ROOT, 'user-svc/migrations'), folder, { recursive: true })
  await cp(path.join(import.meta.dirname, 'expand-and-contract'), folder, { recursive: true })

  const failures: unknown[] = []
  let calls = 0
  let isOver = false
  /** Calls the service in sequence until the end. The service does not know the column. */
  async function runCalls(): Promise<void> {
    while (!isOver) {
      try {
        const user = await system.createUser({ email: `${randomUUID()}@during.example` })
        const token = { token: system.tokenOf(user) }
        await callUnary(system.users, system.users.updateMe, { name: 'Grace' }, token)
        await callUnary(system.users, system.users.getMe, {}, token)
        await docs.create({ title: 'Notes' }, token.token)
        if (calls % 3 === 0) await callUnary(system.users, system.users.deleteMe, {}, token)
        calls += 5
      } catch (error) {
        failures.push(error)
      }
    }
  }
  const workers = Array.from({ length: 4 }, runCalls)
  const waitForCalls = (number: number) => {
    const from = calls
    return until(
      async () => calls - from,
      count => count >= number || failures.length > 0,
    )
  }

  await waitForCalls(50)
  const before = calls
  const options = { url, schema: 'users', folder, logger: pino({ level: 'silent' }) }
  await migrate(options)
  t.comment(`${calls - before} calls during the migrations`)
  await waitForCalls(50)
  const { rows } = await sql`
    select email_domain, count(*) filter (where email_domain is distinct from split_part(email, '@', 2))
      as wrong, ${USERS} = count(*) as all_old
    from users_all group by email_domain order by email_domain`.execute(db)
  t.match(rows, [
    { email_domain: 'before.example', wrong: 0n, all_old: true },
    { email_domain: 'during.example', wrong: 0n },
  ])
  await t.rejects(sql`update users_all set email_domain = null`.execute(db), { code: '23502' })

  for (let step = 0; step < 3; step += 1) await migrateDown(options)
  await waitForCalls(50)
  isOver = true
  await Promise.all(workers)
  t.same(failures, [])
})
