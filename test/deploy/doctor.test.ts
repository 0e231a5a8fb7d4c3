import { randomUUID } from 'node:crypto'
import t from 'tap'
import { examine, recountDocuments } from '../../deploy/dev/doctor-checks.ts'
import { withClient } from '../../deploy/dev/provision.ts'
import { openTestDatabase } from '../support/test-database.ts'

const [user, other, document] = [randomUUID(), randomUUID(), randomUUID()]

/** A user with a document and an account, as both services leave them. */
const SOUND = `
  insert into users.users_all (id, email) values ('${user}', 'ada');
  insert into auth.accounts (user_id, email, password_hash, password_scheme, role, status)
    values ('${user}', 'ada', 'x', 'x', 'user', 'active');
  insert into users.documents_all (id, owner_id, title) values ('${document}', '${user}', 'x');
  insert into users.comments_all (document_id, author_id, body) values ('${document}', '${user}', 'x');`

/** By a superuser's hand, past triggers and references. */
const planted: [check: RegExp, statement: string, fault: RegExp][] = [
  [/doc_count/, `update users.users_all set doc_count = 7`, /says 7, has 1/],
  [/every document/, `insert into users.documents_all (owner_id, title) values ('${other}', 'x')`, /-/],
  [
    /every comment/,
    `insert into users.comments_all (document_id, author_id, body) values ('${document}', '${other}', 'x')`,
    /-/,
  ],
  [
    /every grant/,
    `insert into users.document_grants values ('${document}', '${other}', 'read', '${user}')`,
    new RegExp(other),
  ],
  [
    /every account change/,
    `insert into users.account_changes (user_id, role, closed) values ('${other}', 'user', true)`,
    new RegExp(other),
  ],
  [/not closed has an account/, `insert into users.users_all (id, email) values ('${other}', 'x')`, new RegExp(other)],
  [
    /open has a user/,
    `insert into auth.accounts (user_id, email, password_hash, password_scheme, role, status)
      values ('${other}', 'x', 'x', 'x', 'user', 'active')`,
    new RegExp(other),
  ],
  [/the role and the address/, `update auth.accounts set role = 'admin'`, new RegExp(user)],
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
  [/the schema/, `alter table users.users_all add column nickname text`, /nickname/],
]

t.test('a sound database has no findings', async t => {
  const urls = await openTestDatabase(t)
  await withClient(urls.adminUrl, client => client.query(SOUND))
  const findings = await examine(urls)
  t.equal(findings.length, planted.length, 'each check has a fault that is planted here')
  for (const { check, faults } of findings) t.same(faults, [], check)
})

for (const [check, statement, fault] of planted) {
  t.test(`a fault is found: ${check.source}`, async t => {
    const urls = await openTestDatabase(t)
    await withClient(urls.adminUrl, async client => {
      await client.query(SOUND)
      await client.query(`set session_replication_role = replica; ${statement}`)
    })
    const found = (await examine(urls)).find(finding => check.test(finding.check))
    t.match(found?.faults.join('\n'), fault)
  })
}

t.test('documents are counted anew', async t => {
  const urls = await openTestDatabase(t)
  await withClient(urls.adminUrl, client => client.query(`${SOUND} update users.users_all set doc_count = 7`))
  t.equal(await recountDocuments(urls), 1)
  t.equal(await recountDocuments(urls), 0)
  t.same((await examine(urls)).find(({ check }) => check.startsWith('doc_count'))?.faults, [])
})
