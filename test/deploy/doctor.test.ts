import { randomUUID } from 'node:crypto'
import t from 'tap'
import { recountDocuments, runChecks } from '../../deploy/dev/doctor-checks.ts'
import { withClient } from '../../deploy/dev/provision.ts'
import { openTestDatabase } from '../support/test-database.ts'

const [user, other, document] = [randomUUID(), randomUUID(), randomUUID()]

/** A user with an account, a document and a comment, as the services write them. */
const CONSISTENT = `
  insert into users.users_all (id, email) values ('${user}', 'ada');
  insert into auth.accounts (user_id, email, password_hash, password_scheme, role, status)
    values ('${user}', 'ada', 'x', 'x', 'user', 'active');
  insert into users.documents_all (id, owner_id, title) values ('${document}', '${user}', 'x');
  insert into users.comments_all (document_id, author_id, body) values ('${document}', '${user}', 'x');`

/** Statements that break each invariant. A superuser runs them with triggers and foreign keys disabled. */
const violations: [check: RegExp, statement: string, problem: RegExp][] = [
  [/doc_count/, `update users.users_all set doc_count = 7`, /: doc_count 7, documents 1$/],
  [
    /every account change/,
    `insert into users.account_changes (user_id, role, closed) values ('${other}', 'user', true)`,
    new RegExp(other),
  ],
  [
    /every active user has an account/,
    `insert into users.users_all (id, email) values ('${other}', 'x')`,
    new RegExp(other),
  ],
  [
    /every active account has a user/,
    `insert into auth.accounts (user_id, email, password_hash, password_scheme, role, status)
      values ('${other}', 'x', 'x', 'x', 'user', 'active')`,
    new RegExp(other),
  ],
  [/the role and the e-mail address/, `update auth.accounts set role = 'admin'`, new RegExp(user)],
  [
    /account change is set aside/,
    `insert into auth.failed_account_changes (sequence, user_id, role, closed, erased, error, attempts)
      values (7, '${other}', 'user', true, false, 'Error: poisoned', 5)`,
    new RegExp(`^user ${other}, change 7, attempts 5: Error: poisoned$`),
  ],
  [
    /row past retention is set aside/,
    `insert into users.retention_failures (kind, id, error, attempts) values
      ('user', '${user}', 'Error: failed once', 1), ('user', '${other}', 'Error: poisoned', 5)`,
    new RegExp(`^user ${other}, attempts 5: Error: poisoned$`),
  ],
  [
    /every index/,
    `update pg_index set indisvalid = false where indexrelid = 'users.users_email'::regclass`,
    /users_email/,
  ],
  [
    /every constraint/,
    `alter table users.users_all add constraint short check (length(email) < 4) not valid`,
    /users_all\.short/,
  ],
  [
    /every migration/,
    `delete from users.kysely_migration where name = (select max(name) from users.kysely_migration)`,
    /pending/,
  ],
  [/the schema equals/, `alter table users.users_all add column nickname text`, /nickname/],
]

t.test('a consistent database has no problems', async t => {
  const urls = await openTestDatabase(t)
  await withClient(urls.adminUrl, client => client.query(CONSISTENT))
  const results = await runChecks(urls)
  t.equal(results.length, violations.length, 'this file has a violation for each check')
  for (const { check, problems } of results) t.same(problems, [], check)
})

for (const [check, statement, problem] of violations) {
  t.test(`the check "${check.source}" reports a violation`, async t => {
    const urls = await openTestDatabase(t)
    await withClient(urls.adminUrl, async client => {
      await client.query(CONSISTENT)
      await client.query(`set session_replication_role = replica; ${statement}`)
    })
    const result = (await runChecks(urls)).find(({ check: name }) => check.test(name))
    t.match(result?.problems.join('\n'), problem)
  })
}

t.test('recountDocuments corrects a wrong doc_count', async t => {
  const urls = await openTestDatabase(t)
  await withClient(urls.adminUrl, client => client.query(`${CONSISTENT} update users.users_all set doc_count = 7`))
  t.equal(await recountDocuments(urls), 1)
  t.equal(await recountDocuments(urls), 0)
  t.same((await runChecks(urls)).find(({ check }) => check.startsWith('doc_count'))?.problems, [])
})
