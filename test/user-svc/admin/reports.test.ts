import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import { sql } from 'kysely'
import t from 'tap'
import { ReportSignupsRequest, ReportUsersRequest } from '#proto/admin/v1/admin.ts'
import { callUnary } from '#runtime/grpc/client.ts'
import { openDatabase } from '#runtime/postgres/database.ts'
import { Code } from '#runtime/status.ts'
import { createAdministrationRepository } from '../../../user-svc/admin/administration-repository.ts'
import { createReportRepository, USER_ORDERS, type UserOrder } from '../../../user-svc/admin/report-repository.ts'
import { SCHEMA, type Tables } from '../../../user-svc/tables.ts'
import { plansOf } from '../../support/plans.ts'
import { assertProperty } from '../../support/property.ts'
import { openTestDatabase } from '../../support/test-database.ts'
import { logger, startUserSystem } from '../user-system.ts'

const system = await startUserSystem(t)
const { admin, mint } = system
const { db } = system.database
const token = mint.access({ role: 'admin' })

const signups = (given: Partial<ReportSignupsRequest> = {}) =>
  callUnary(admin, admin.reportSignups, ReportSignupsRequest.create(given), { token })
const report = (given: Partial<ReportUsersRequest> = {}) =>
  callUnary(admin, admin.reportUsers, ReportUsersRequest.create(given), { token })

async function signUpAt(...times: Date[]): Promise<void> {
  await sql`truncate users_all cascade`.execute(db)
  for (const at of times)
    await sql`insert into users_all (id, email, created_at) values (${randomUUID()}, ${randomUUID()}, ${at})`.execute(
      db,
    )
}

/** The local date in a time zone. */
const dateIn = (timeZone: string, at: Date) => at.toLocaleDateString('sv-SE', { timeZone })

t.test('ReportSignups has one row per day in the given time zone, with the number of sign-ups', async t => {
  const zones = ['UTC', 'America/New_York', 'Pacific/Kiritimati', 'Asia/Kathmandu']
  const hoursAgo = fc.integer({ min: 0, max: 24 * 6 })
  await assertProperty(
    t,
    fc.asyncProperty(
      fc.array(hoursAgo, { maxLength: 12, size: 'max' }),
      fc.constantFrom(...zones),
      async (hours, timeZone) => {
        const times = hours.map(ago => new Date(Date.now() - ago * 3_600_000))
        await signUpAt(...times)
        const { days, total } = await signups({ days: 5, timeZone })
        const expected = new Map(days.map(({ date }) => [date, 0]))
        for (const date of times.map(at => dateIn(timeZone, at)))
          if (expected.has(date)) expected.set(date, (expected.get(date) ?? 0) + 1)
        assert.equal(days.at(-1)?.date, dateIn(timeZone, new Date()))
        assert.equal(days.length, 5)
        assert.deepEqual(new Map(days.map(day => [day.date, day.signups])), expected)
        assert.deepEqual(
          days.map(day => day.date),
          [...expected.keys()].sort(),
        )
        assert.equal(
          total,
          [...expected.values()].reduce((sum, count) => sum + count, 0),
        )
      },
    ),
    { numRuns: 25 },
  )
})

t.test(
  'ReportSignups over 366 days has each day once despite daylight-saving changes, and counts deactivated users',
  async t => {
    await signUpAt(new Date())
    await sql`update users_all set deleted_at = now()`.execute(db)
    for (const timeZone of ['', 'Europe/Zurich', 'America/Santiago']) {
      const { days, total } = await signups({ days: 366, timeZone })
      t.equal(new Set(days.map(({ date }) => date)).size, 366)
      t.equal(total, 1)
    }
    t.equal((await signups()).days.length, 30)
  },
)

t.test('ReportSignups rejects an unknown time zone', async t => {
  await t.rejects(signups({ timeZone: 'Moon/Base' }), {
    code: Code.INVALID_ARGUMENT,
    violations: [{ field: 'timeZone' }],
  })
})

interface Given {
  isDeactivated: boolean
  documents: { isDeleted: boolean; tags: string[]; sentiments: (number | null)[] }[]
}

const anyUser: fc.Arbitrary<Given> = fc.record({
  isDeactivated: fc.boolean(),
  documents: fc.array(
    fc.record({
      isDeleted: fc.boolean(),
      tags: fc.subarray(['red', 'green', 'blue']),
      sentiments: fc.array(fc.constantFrom(null, -1, -0.5, 0.25, 1), { maxLength: 3 }),
    }),
    { maxLength: 4 },
  ),
})

/** Replaces all users. All comments have the same author, who stays active. */
async function fill(people: readonly Given[]): Promise<string[]> {
  await sql`truncate users_all cascade`.execute(db)
  const author = randomUUID()
  await sql`insert into users_all (id, email) values (${author}, 'author')`.execute(db)
  const ids = people.map(() => randomUUID())
  for (const [index, { documents }] of people.entries()) {
    const id = ids[index]
    await sql`insert into users_all (id, email) values (${id}, ${id})`.execute(db)
    for (const { isDeleted, tags, sentiments } of documents) {
      const { rows } = await sql<{ id: string }>`insert into documents_all (owner_id, title, tags, deleted_at)
        values (${id}, 'x', ${tags}, ${isDeleted ? new Date() : null}) returning id`.execute(db)
      for (const sentiment of sentiments)
        await sql`insert into comments_all (document_id, author_id, body, sentiment)
          values (${rows[0]?.id}, ${author}, 'x', ${sentiment})`.execute(db)
    }
  }
  for (const [index, { isDeactivated }] of people.entries())
    if (isDeactivated) await sql`update users_all set deleted_at = now() where id = ${ids[index]}`.execute(db)
  return ids
}

function figuresOf({ documents }: Given) {
  const visible = documents.filter(({ isDeleted }) => !isDeleted)
  const sentiments = visible.flatMap(document => document.sentiments).filter(sentiment => sentiment !== null)
  return {
    docCount: visible.length,
    averageSentiment:
      sentiments.length === 0 ? undefined : sentiments.reduce((sum, one) => sum + one, 0) / sentiments.length,
    tags: [...new Set(visible.flatMap(({ tags }) => tags))].sort(),
  }
}

t.test('ReportUsers returns the figures that a computation in memory returns', async t => {
  await assertProperty(
    t,
    fc.asyncProperty(
      fc.array(anyUser, { maxLength: 5 }),
      fc.integer({ min: 0, max: 2 }),
      fc.constantFrom(...(Object.keys(USER_ORDERS) as UserOrder[])),
      fc.integer({ min: 1, max: 6 }),
      async (people, minDocs, orderBy, limit) => {
        const ids = await fill(people)
        const sign = orderBy.startsWith('-') ? -1 : 1
        const key = orderBy.endsWith('docCount') ? 'docCount' : 'averageSentiment'
        const expected = people
          .map((person, index) => ({
            userId: ids[index] ?? '',
            isDeactivated: person.isDeactivated,
            ...figuresOf(person),
          }))
          .filter(({ isDeactivated, docCount }) => !isDeactivated && docCount > minDocs)
          .sort((a, b) => {
            const [x, y] = [a[key], b[key]]
            if (x === undefined || y === undefined)
              return x === y ? (a.userId < b.userId ? -1 : 1) : x === undefined ? 1 : -1
            return sign * (x - y) || (a.userId < b.userId ? -1 : 1)
          })
          .slice(0, limit)
          .map(({ isDeactivated: _, ...figures }) => figures)
        const { users } = await report({ minDocs, orderBy, limit })
        assert.deepEqual(
          users.map(({ userId, docCount, averageSentiment, tags }) => ({ userId, docCount, averageSentiment, tags })),
          expected,
        )
      },
    ),
    { numRuns: 25 },
  )
})

t.test('reports and user lists use their indexes', async t => {
  const { userUrl: url } = await openTestDatabase(t)
  const { db, close } = openDatabase<Tables>({ url, schema: SCHEMA, logger, statementTimeoutMs: 60_000 })
  t.teardown(close)
  await sql`insert into users_all (id, email, department, created_at)
    select gen_random_uuid(), 'user-' || n, 'department-' || n % 200, now() - n * interval '1 hour'
    from generate_series(1, 20000) n`.execute(db)
  await sql`insert into documents_all (owner_id, title) select id, 'x' from users_all where hashtext(email) % 4 = 0`.execute(
    db,
  )
  await sql`insert into comments_all (document_id, author_id, body, sentiment) select id, owner_id, 'x', 0 from documents_all`.execute(
    db,
  )
  await sql`vacuum analyze`.execute(db)
  const planOf = async (work: (db: Parameters<typeof createReportRepository>[0]) => Promise<unknown>) =>
    (await plansOf<Tables>({ url, schema: SCHEMA }, work))[0] ?? ''

  t.match(await planOf(db => createReportRepository(db).signups(30, 'Europe/Zurich')), /users_by_age/)
  const users = await planOf(db => createReportRepository(db).users(0, '-docCount', 20))
  t.match(users, /documents_of_owner/, 'documents are read for the reported users only')
  t.match(users, /comments_of_document/)
  t.notMatch(users, /Seq Scan on (documents|comments)_all/)

  const listOf = (state: 'living' | 'all', filter: object) =>
    planOf(db => createAdministrationRepository(db).page(state, filter, 50, ['2099-01-01', randomUUID()]))
  t.match(await listOf('living', {}), /users_newest|users_by_age/)
  t.match(await listOf('all', {}), /users_by_age/)
  t.match(await listOf('living', { department: 'department-7' }), /users_of_department/)
  t.match(await listOf('all', { emailPrefix: 'user-1999' }), /users_email_prefix/)
})
