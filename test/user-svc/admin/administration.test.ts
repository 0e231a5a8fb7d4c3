import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import { sql } from 'kysely'
import t from 'tap'
import { BulkDeleteUsersRequest, BulkUpdateRoleRequest, ListUsersRequest, UserFilter } from '#proto/admin/v1/admin.ts'
import { callUnary } from '#runtime/grpc/client.ts'
import { Code } from '#runtime/status.ts'
import { assertProperty } from '../../support/property.ts'
import { createDocumentClient } from '../documents/document-client.ts'
import { startUserSystem } from '../user-system.ts'

const system = await startUserSystem(t)
const { admin, accounts, createUser, tokenOf, mint } = system
const { db } = system.database
const docs = createDocumentClient(system.docs)
const root = await createUser({ role: 'admin', name: 'root' })
const token = tokenOf(root)

const list = (given: Partial<ListUsersRequest>) =>
  callUnary(admin, admin.listUsers, ListUsersRequest.create(given), { token })
const restore = (id: string) => callUnary(admin, admin.restoreUser, { id }, { token })
const setRole = (filter: Partial<UserFilter>, role: string, dryRun = false, as = token) =>
  callUnary(
    admin,
    admin.bulkUpdateRole,
    BulkUpdateRoleRequest.create({ filter: UserFilter.create(filter), role, dryRun }),
    { token: as, timeoutMs: 30_000 },
  )
const deactivate = (filter: Partial<UserFilter>, dryRun = false) =>
  callUnary(
    admin,
    admin.bulkDeleteUsers,
    BulkDeleteUsersRequest.create({ filter: UserFilter.create(filter), dryRun }),
    { token, timeoutMs: 30_000 },
  )
const deactivateOne = (id: string) =>
  sql`update users_all set deleted_at = now(), deleted_by = ${root.id} where id = ${id}`.execute(db)

interface Given {
  role: 'user' | 'editor' | 'moderator' | 'admin'
  department: '' | 'sales' | 'law'
  domain: 'a_b.example' | 'axb.example'
  isDeactivated: boolean
  /** Creation time in days after 2026-01-01. */
  day: number
}

const anyUser: fc.Arbitrary<Given> = fc.record({
  role: fc.constantFrom('user', 'editor', 'moderator', 'admin'),
  department: fc.constantFrom('', 'sales', 'law'),
  domain: fc.constantFrom('a_b.example', 'axb.example'),
  isDeactivated: fc.boolean(),
  day: fc.integer({ min: 0, max: 4 }),
})

const dayOf = (day: number) => new Date(Date.UTC(2026, 0, 1 + day))

async function fill(given: readonly Given[]): Promise<(Given & { id: string; email: string })[]> {
  await sql`delete from users_all where id <> ${root.id}`.execute(db)
  const stored = given.map((one, index) => ({ ...one, id: randomUUID(), email: `person-${index}@${one.domain}` }))
  for (const { id, email, role, department, isDeactivated, day } of stored)
    await sql`insert into users_all (id, email, role, department, created_at, deleted_at)
      values (${id}, ${email}, ${role}, ${department}, ${dayOf(day)}, ${isDeactivated ? new Date() : null})`.execute(db)
  return stored
}

t.test('AdminService.ListUsers returns the users that match filter and state, newest first', async t => {
  await assertProperty(
    t,
    fc.asyncProperty(
      fc.array(anyUser, { maxLength: 10 }),
      fc.constantFrom('living', 'deleted', 'all'),
      fc.record({
        role: fc.constantFrom(undefined, 'editor'),
        department: fc.constantFrom(undefined, 'sales'),
        emailPrefix: fc.constantFrom(undefined, 'person-1', 'person_'),
        createdSince: fc.constantFrom(undefined, dayOf(2)),
        createdBefore: fc.constantFrom(undefined, dayOf(3)),
      }),
      fc.integer({ min: 1, max: 4 }),
      async (given, state, filter, pageSize) => {
        const stored = await fill(given)
        const expected = stored
          .filter(one => state === 'all' || one.isDeactivated === (state === 'deleted'))
          .filter(one => filter.role === undefined || one.role === filter.role)
          .filter(one => filter.department === undefined || one.department === filter.department)
          .filter(one => one.email.startsWith(filter.emailPrefix ?? ''))
          .filter(one => filter.createdSince === undefined || dayOf(one.day) >= filter.createdSince)
          .filter(one => filter.createdBefore === undefined || dayOf(one.day) < filter.createdBefore)
          .sort((a, b) => b.day - a.day || (a.id < b.id ? 1 : -1))
          .map(({ id }) => id)
        const listed: string[] = []
        let pageToken = ''
        do {
          const page = await list({ ...filter, state, pageSize, pageToken })
          listed.push(...page.users.map(({ id }) => id).filter(id => id !== root.id))
          pageToken = page.nextPageToken
        } while (pageToken !== '')
        assert.deepEqual(listed, expected)
      },
    ),
    { numRuns: 25 },
  )
})

const filters: fc.Arbitrary<Partial<UserFilter>> = fc
  .record(
    {
      role: fc.constantFrom('user', 'editor', 'admin'),
      department: fc.constantFrom('law', 'sales'),
      emailSuffix: fc.constantFrom('@a_b.example', 'example'),
      createdSince: fc.constant(dayOf(1)),
      createdBefore: fc.constant(dayOf(4)),
    },
    { requiredKeys: [] },
  )
  .filter(filter => Object.keys(filter).length > 0)

function isMatch(filter: Partial<UserFilter>, one: Given & { email: string }): boolean {
  return (
    !one.isDeactivated &&
    (filter.role === undefined || one.role === filter.role) &&
    (filter.department === undefined || one.department === filter.department) &&
    (filter.emailSuffix === undefined || one.email.endsWith(filter.emailSuffix)) &&
    (filter.createdSince === undefined || dayOf(one.day) >= filter.createdSince) &&
    (filter.createdBefore === undefined || dayOf(one.day) < filter.createdBefore)
  )
}

t.test('a bulk change affects the matching users only, as many as its dry run reports', async t => {
  await assertProperty(
    t,
    fc.asyncProperty(
      fc.array(anyUser, { maxLength: 10 }),
      filters,
      fc.constantFrom('editor', 'admin', undefined),
      async (given, filter, role) => {
        const stored = await fill(given)
        const change = (dryRun: boolean) =>
          role === undefined ? deactivate(filter, dryRun) : setRole(filter, role, dryRun)
        const matched = stored.filter(one => isMatch(filter, one))
        const changed = matched.filter(one => role === undefined || one.role !== role)

        const dry = await change(true)
        assert.deepEqual(dry, { matched: matched.length, changed: changed.length, dryRun: true })
        const untouched = await db.selectFrom('users_all').select(['id', 'role']).where('id', '!=', root.id).execute()
        assert.deepEqual(
          new Map(untouched.map(user => [user.id, user.role])),
          new Map(stored.map(user => [user.id, user.role])),
        )
        assert.deepEqual(await change(false), { ...dry, dryRun: false })

        const after = await db.selectFrom('users_all').selectAll().where('id', '!=', root.id).execute()
        for (const user of after) {
          const before = stored.find(({ id }) => id === user.id)
          assert.ok(before)
          const isChanged = changed.includes(before)
          assert.equal(user.deleted_at !== null, before.isDeactivated || (isChanged && role === undefined))
          assert.equal(user.role, isChanged && role !== undefined ? role : before.role)
          if (isChanged && role === undefined) assert.equal(user.deleted_by, root.id)
        }
        const self = await db.selectFrom('users').select('role').where('id', '=', root.id).executeTakeFirst()
        assert.equal(self?.role, 'admin', 'the caller is not changed')
      },
    ),
    { numRuns: 25 },
  )
})

t.test('a bulk change writes one account change per changed user to the outbox', async t => {
  const stored = await fill(
    Array.from({ length: 3 }, () => ({
      role: 'user',
      department: 'law',
      domain: 'axb.example',
      isDeactivated: false,
      day: 0,
    })),
  )
  await sql`truncate account_changes`.execute(db)
  await setRole({ department: 'law' }, 'editor')
  await deactivate({ ids: stored.slice(0, 1).map(({ id }) => id) })
  const changes = await db.selectFrom('account_changes').select(['role', 'closed']).orderBy('sequence').execute()
  const changed = { role: 'editor', closed: false }
  t.same(changes, [changed, changed, changed, { role: 'editor', closed: true }])
})

t.test('an empty value of a filter is rejected and changes no user', async t => {
  const { id } = await createUser({ department: '' })
  for (const name of ['role', 'department', 'emailSuffix']) {
    const rejected = { code: Code.INVALID_ARGUMENT, violations: [{ field: `filter.${name}` }] }
    await t.rejects(deactivate({ createdBefore: new Date(), [name]: '' }), rejected, name)
    await t.rejects(setRole({ createdBefore: new Date(), [name]: '' }, 'editor'), rejected, name)
  }
  for (const name of ['state', 'role', 'department', 'emailPrefix']) {
    await t.rejects(list({ [name]: '' }), { code: Code.INVALID_ARGUMENT, violations: [{ field: name }] }, name)
  }
  t.match(await list({ pageSize: 1 }), { users: [{ id, role: 'user' }] })
})

t.test('a bulk change with an empty filter is rejected', async t => {
  for (const call of [() => setRole({}, 'editor'), () => deactivate({}), () => deactivate({}, true)])
    await t.rejects(call(), { code: Code.INVALID_ARGUMENT, violations: [{ field: 'filter' }] })
})

t.test('a bulk change by a former administrator is rejected, even if the token has the role', async t => {
  const former = await createUser({ role: 'user' })
  await fill([])
  const other = await createUser({ department: 'law' })
  await t.rejects(setRole({ department: 'law' }, 'admin', false, tokenOf(former, 'admin')), {
    code: Code.PERMISSION_DENIED,
  })
  t.match(await list({ department: 'law' }), { users: [{ id: other.id, role: 'user' }] })
})

t.test('RestoreUser restores a user with documents and comments, and returns an active user unchanged', async t => {
  await fill([])
  const user = await createUser({ department: 'law' })
  const { id } = await docs.create({ visibility: 'public' }, tokenOf(user))
  await docs.comment(id, {}, tokenOf(user))
  await deactivateOne(user.id)
  t.match(await list({ state: 'deleted' }), {
    users: [{ id: user.id, deletedAt: Date, deletedBy: root.id, docCount: 1 }],
  })
  await t.rejects(docs.get(id, undefined), { code: Code.NOT_FOUND })

  const restored = await restore(user.id)
  t.match(restored, { id: user.id, email: user.email, department: 'law', deletedBy: '', docCount: 1 })
  t.equal(restored.deletedAt, undefined)
  t.match(await docs.get(id, undefined), { id })
  t.equal((await docs.comments(id, {}, undefined)).comments.length, 1)
  t.same(await restore(user.id), restored)
  const changes = await db.selectFrom('account_changes').selectAll().where('user_id', '=', user.id).execute()
  t.match(changes.at(-1), { closed: false, role: 'user' })
  await t.rejects(restore(randomUUID()), { code: Code.NOT_FOUND })
})

t.test('RestoreUser returns email_taken while another active user has the e-mail address', async t => {
  const user = await createUser({ email: 'ada@taken.example' })
  await deactivateOne(user.id)
  const second = { id: randomUUID(), email: 'ada@taken.example', name: 'Other', role: 'user' }
  await callUnary(accounts, accounts.createAccount, second, { token: mint.service() })
  await t.rejects(restore(user.id), { code: Code.ALREADY_EXISTS, reason: 'email_taken' })
  await deactivateOne(second.id)
  t.match(await restore(user.id), { email: 'ada@taken.example' })
})

// Last in this file: removing the rows for another test would take longer than the test.
t.test('a bulk change of 10,000 users succeeds within the timeout', async t => {
  await sql`insert into users_all (id, email, department)
    select gen_random_uuid(), n::text, 'crowd' from generate_series(1, 10000) n`.execute(db)
  const expected = { matched: 10_000, changed: 10_000, dryRun: false }
  t.same(await setRole({ department: 'crowd' }, 'editor'), expected)
  t.same(await deactivate({ department: 'crowd' }), expected)
  const { count } = await db
    .selectFrom('users')
    .select(row => row.fn.countAll<bigint>().as('count'))
    .where('department', '=', 'crowd')
    .executeTakeFirstOrThrow()
  t.equal(count, 0n)
})
