import { randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import t, { type Test } from 'tap'
import { callUnary } from '#runtime/grpc/client.ts'
import { openDatabase } from '#runtime/postgres/database.ts'
import { createErasure } from '../../../user-svc/privacy/erasure.ts'
import { createRetention, type RetentionCounts } from '../../../user-svc/privacy/retention.ts'
import { startRetentionJob } from '../../../user-svc/privacy/retention-job.ts'
import { SCHEMA, type Tables } from '../../../user-svc/tables.ts'
import { openTestDatabase } from '../../support/test-database.ts'
import { until } from '../../support/until.ts'
import { createDocumentClient } from '../documents/document-client.ts'
import { logger, startUserSystem } from '../user-system.ts'

const system = await startUserSystem(t)
const { admin, users, createUser, tokenOf } = system
const { db } = system.database
const docs = createDocumentClient(system.docs)
const root = await createUser({ role: 'admin', name: 'root' })

const DAYS = 30
const NEVER = new AbortController().signal
const NOTHING: RetentionCounts = { comments: 0, documents: 0, erased: 0, purged: 0 }

const failures: string[] = []

/** Runs retention with a clock that is `days` days ahead. */
const runIn = (days: number, signal = NEVER) =>
  createRetention({
    db,
    erasure: createErasure(db),
    days: DAYS,
    logger,
    onFailure: kind => failures.push(kind),
    now: () => new Date(Date.now() + days * 24 * 3600 * 1000),
  }).run(signal)

const deactivate = (user: { id: string; role: string }) =>
  callUnary(users, users.deleteMe, {}, { token: tokenOf(user) })
const erase = (id: string) => callUnary(admin, admin.eraseUser, { id }, { token: tokenOf(root) })
const receiptOf = (id: string) => callUnary(admin, admin.getErasure, { id }, { token: tokenOf(root) })
const countOf = async (table: 'users_all' | 'documents_all' | 'comments_all', column: string, id: string) => {
  const { rows } = await sql<{ count: number }>`
    select count(*)::integer as count from ${sql.table(table)} where ${sql.ref(column)} = ${id}`.execute(db)
  return rows[0]?.count
}

// Isolates the tests: rows of one test would be past retention in the next.
t.beforeEach(async () => {
  await sql`delete from documents_all`.execute(db)
  await sql`delete from users_all where id <> ${root.id}`.execute(db)
  await sql`delete from erasures`.execute(db)
})

t.test('a deleted document is purged with its comments and grants after the retention period, not before', async t => {
  const [ada, grace] = [await createUser(), await createUser()]
  const token = tokenOf(ada)
  const [deleted, kept] = [
    await docs.create({ visibility: 'public' }, token),
    await docs.create({ visibility: 'public' }, token),
  ]
  for (const { id } of [deleted, kept]) await docs.comment(id, {}, tokenOf(grace))
  await docs.grant(deleted.id, grace.id, 'read', token)
  await docs.remove(deleted.id, token)

  t.same(await runIn(DAYS - 1), NOTHING)
  t.same(await runIn(DAYS + 1), { ...NOTHING, comments: 1, documents: 1 })
  t.same(await runIn(DAYS + 1), NOTHING)
  const rows = await db.selectFrom('documents_all').select('id').execute()
  t.same(rows, [{ id: kept.id }])
  t.same(await db.selectFrom('document_grants').selectAll().execute(), [])
  const owner = await db.selectFrom('users').select('doc_count').where('id', '=', ada.id).executeTakeFirst()
  t.same(owner, { doc_count: 1 }, 'doc_count is unchanged')
})

t.test('a deleted comment is purged after the retention period', async t => {
  const ada = await createUser()
  const { id } = await docs.create({}, tokenOf(ada))
  const [deleted, kept] = [await docs.comment(id, {}, tokenOf(ada)), await docs.comment(id, {}, tokenOf(ada))]
  await docs.removeComment(id, deleted.id, tokenOf(ada))
  t.same(await runIn(DAYS - 1), NOTHING)
  t.same(await runIn(DAYS + 1), { ...NOTHING, comments: 1 })
  t.same(await db.selectFrom('comments_all').select('id').execute(), [{ id: kept.id }])
})

t.test('a deactivated user is erased and purged after the retention period, a restored user is not', async t => {
  const [deactivated, restored] = [await createUser(), await createUser()]
  await docs.create({}, tokenOf(deactivated))
  await docs.create({}, tokenOf(restored))
  for (const user of [deactivated, restored]) await deactivate(user)
  await callUnary(admin, admin.restoreUser, { id: restored.id }, { token: tokenOf(root) })

  t.same(await runIn(DAYS - 1), NOTHING)
  t.same(await runIn(DAYS + 1), { ...NOTHING, documents: 1, erased: 1, purged: 1 })
  t.equal(await countOf('users_all', 'id', deactivated.id), 0)
  t.match(await receiptOf(deactivated.id), { requestedBy: '', documents: 1, purgedAt: Date })
  t.equal(await countOf('users_all', 'id', restored.id), 1)
  const changes = await db.selectFrom('account_changes').selectAll().where('user_id', '=', deactivated.id).execute()
  t.match(changes, [
    { closed: true, erased: false },
    { closed: true, erased: true },
  ])
})

t.test('a user restored before the erasure starts is not erased', async t => {
  const user = await createUser({ name: 'Ada' })
  const { id } = await docs.create({ title: 'Plan' }, tokenOf(user))
  await deactivate(user)
  await callUnary(admin, admin.restoreUser, { id: user.id }, { token: tokenOf(root) })
  t.equal(await createErasure(db).eraseDeactivated(user.id, new Date(Date.now() + 1000)), false)
  t.match(await docs.get(id, tokenOf(user)), { title: 'Plan' })
  t.same(await db.selectFrom('erasures').selectAll().execute(), [])
})

t.test(
  'the rows of an erased user and the comments on them are purged after the retention period; the receipt remains',
  async t => {
    const [ada, grace] = [await createUser(), await createUser()]
    const own = await docs.create({ visibility: 'public' }, tokenOf(ada))
    const theirs = await docs.create({ visibility: 'public' }, tokenOf(grace))
    for (const { id } of [own, theirs]) for (const user of [ada, grace]) await docs.comment(id, {}, tokenOf(user))
    await erase(ada.id)

    t.same(await runIn(DAYS - 1), NOTHING)
    t.same(await runIn(DAYS + 1), { ...NOTHING, comments: 3, documents: 1, purged: 1 })
    t.equal(await countOf('users_all', 'id', ada.id), 0)
    t.equal(await countOf('documents_all', 'owner_id', ada.id), 0)
    t.equal(await countOf('comments_all', 'author_id', ada.id), 0)
    t.same((await docs.comments(theirs.id, {}, tokenOf(grace))).comments.length, 1)
    t.match(await receiptOf(ada.id), { requestedBy: root.id, documents: 1, comments: 2, purgedAt: Date })
    t.match(await erase(ada.id), { purgedAt: Date }, 'a repeated erasure returns the receipt')
  },
)

t.test('the next run continues where an aborted run stopped', async t => {
  const ada = await createUser()
  await sql`
    insert into documents_all (owner_id, title, deleted_at)
    select ${ada.id}::uuid, 'Plan', now() from generate_series(1, 1234)`.execute(db)
  const stopping = new AbortController()
  // Abort while the first batch is in flight.
  const running = runIn(DAYS + 1, stopping.signal)
  stopping.abort()
  const first = (await running).documents
  t.ok(first < 1234, `the aborted run deleted ${first} documents`)
  t.equal(first + (await runIn(DAYS + 1)).documents, 1234)
})

t.test('one run processes several batches of each kind', async t => {
  const ada = await createUser()
  await sql`
    insert into documents_all (owner_id, title, deleted_at)
    select ${ada.id}::uuid, 'Plan', now() from generate_series(1, 1100)`.execute(db)
  await sql`
    insert into comments_all (document_id, author_id, body)
    select id, owner_id, 'Well' from documents_all`.execute(db)
  await sql`
    insert into users_all (id, email, deleted_at)
    select id, id::text, now() from (select gen_random_uuid() as id from generate_series(1, 510)) as ids`.execute(db)
  t.same(await runIn(DAYS + 1), { comments: 1100, documents: 1100, erased: 510, purged: 510 })
  t.same(await runIn(DAYS + 1), NOTHING)
})

t.test('a run skips rows locked by another transaction, and the next run deletes them', async t => {
  const ada = await createUser()
  await sql`insert into documents_all (owner_id, title, deleted_at) values (${ada.id}, 'Plan', now())`.execute(db)
  const transaction = await db.startTransaction().execute()
  await sql`select from documents_all for update`.execute(transaction)
  t.same(await runIn(DAYS + 1), NOTHING)
  await transaction.commit().execute()
  t.same(await runIn(DAYS + 1), { ...NOTHING, documents: 1 })
})

/** Makes every deletion and erasure of the rows with these ids fail, until the end of the test. */
async function poison(t: Test, ...ids: string[]): Promise<void> {
  const list = sql.lit(`{${ids.join()}}`)
  await sql`
    create or replace function fail_poisoned() returns trigger language plpgsql as $$
    begin
      if old.id = any (${list}::uuid[]) then raise exception 'poisoned'; end if;
      return case tg_op when 'DELETE' then old else new end;
    end $$`.execute(db)
  const tables = ['users_all', 'documents_all', 'comments_all']
  for (const table of tables) {
    await sql`
      create trigger poison before delete or update on ${sql.table(table)}
      for each row execute function fail_poisoned()`.execute(db)
  }
  t.teardown(async () => {
    for (const table of tables) await sql`drop trigger poison on ${sql.table(table)}`.execute(db)
    await sql`delete from retention_failures`.execute(db)
  })
}

/** Makes the next run try the failed rows again, as an hour later. */
const letAnHourPass = () => sql`update retention_failures set failed_at = failed_at - interval '1 hour'`.execute(db)
const listFailures = () => db.selectFrom('retention_failures').select(['kind', 'id', 'attempts']).execute()

t.test('a user whose erasure or purge fails does not stop the run, and is set aside after five runs', async t => {
  const [poisoned, other, erased] = [await createUser(), await createUser(), await createUser()]
  for (const user of [poisoned, other]) await deactivate(user)
  await erase(erased.id)
  await poison(t, poisoned.id, erased.id)

  failures.length = 0
  t.same(await runIn(DAYS + 1), { ...NOTHING, erased: 1, purged: 1 }, 'the other user is erased and purged')
  t.same(failures, ['user', 'user'])
  t.same(await runIn(DAYS + 1), NOTHING)
  t.equal(failures.length, 2, 'a failed user is not tried twice in an hour')
  for (let run = 2; run <= 6; run++) {
    await letAnHourPass()
    t.same(await runIn(DAYS + 1), NOTHING)
  }
  t.equal(failures.length, 10)
  t.same(
    (await listFailures()).map(({ id, attempts }) => `${id} ${attempts}`).sort(),
    [`${erased.id} 5`, `${poisoned.id} 5`].sort(),
  )
})

t.test('a document or comment that cannot be deleted does not stop the run', async t => {
  const ada = await createUser()
  const { rows } = await sql<{ id: string }>`
    insert into documents_all (owner_id, title, deleted_at)
    select ${ada.id}::uuid, 'Plan', now() from generate_series(1, 1100) returning id`.execute(db)
  const [poisoned] = rows
  const { id: document } = await docs.create({}, tokenOf(ada))
  const [badComment, comment] = [
    await docs.comment(document, {}, tokenOf(ada)),
    await docs.comment(document, {}, tokenOf(ada)),
  ]
  for (const { id } of [badComment, comment]) await docs.removeComment(document, id, tokenOf(ada))
  await poison(t, poisoned?.id ?? '', badComment.id)

  t.same(await runIn(DAYS + 1), { ...NOTHING, documents: 1099, comments: 1 })
  t.same((await listFailures()).map(({ kind, id }) => `${kind} ${id}`).sort(), [
    `comment ${badComment.id}`,
    `document ${poisoned?.id}`,
  ])
})

t.test('a row that failed and is deleted later is no longer listed', async t => {
  const ada = await createUser()
  await deactivate(ada)
  await db.insertInto('retention_failures').values({ kind: 'user', id: ada.id, error: 'x', attempts: 4 }).execute()
  await letAnHourPass()
  t.same(await runIn(DAYS + 1), { ...NOTHING, erased: 1, purged: 1 })
  t.same(await listFailures(), [])
})

t.test('the cron job is registered, and jobs run one at a time across processes', async t => {
  const { userUrl } = await openTestDatabase(t)
  const jobs = openDatabase<Tables>({ url: userUrl, schema: SCHEMA, logger })
  t.teardown(() => jobs.close())
  let running = 0
  let maxRunning = 0
  let runs = 0
  const retention = {
    async run() {
      running += 1
      maxRunning = Math.max(maxRunning, running)
      await sql`select pg_sleep(0.05)`.execute(jobs.db)
      running -= 1
      runs += 1
      return NOTHING
    },
  }
  const start = () =>
    startRetentionJob({ databaseUrl: userUrl, preparedStatements: true, retention, logger, pollMs: 50 })
  const workers = await Promise.all([start(), start()])
  t.teardown(() => Promise.all(workers.map(worker => worker.stop())))
  const crontabs = sql<{ identifier: string }>`select identifier from user_jobs._private_known_crontabs`
  await until(
    async () => (await crontabs.execute(jobs.db)).rows,
    rows => rows.length === 1,
  )
  for (let job = 0; job < 6; job++) {
    await sql`select user_jobs.add_job('retention', queue_name => 'retention', job_key => ${randomUUID()})`.execute(
      jobs.db,
    )
  }
  await until(
    async () => runs,
    count => count === 6,
  )
  t.equal(maxRunning, 1, 'maximum number of concurrent runs')
})
