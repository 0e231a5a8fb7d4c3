import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import { sql } from 'kysely'
import t from 'tap'
import { callUnary } from '#runtime/grpc/client.ts'
import { assertProperty } from '../../support/property.ts'
import { startUserSystem } from '../user-system.ts'

const { users, database, mint } = await startUserSystem(t)
const { db } = database
const token = mint.access({ role: 'moderator' })

const page = (pageSize: number, pageToken: string) =>
  callUnary(users, users.listUsers, { pageSize, pageToken }, { token })

/** Reads all pages and returns the ids in order. Runs `between` before each further page. */
async function walk(pageSize: number, between: () => Promise<unknown> = async () => {}): Promise<string[]> {
  const ids: string[] = []
  let pageToken = ''
  do {
    const { users: found, nextPageToken } = await page(pageSize, pageToken)
    assert.ok(found.length <= pageSize)
    assert.ok(found.length === pageSize || nextPageToken === '', 'only the last page may have fewer rows')
    ids.push(...found.map(user => user.id))
    pageToken = nextPageToken
    if (pageToken !== '') await between()
  } while (pageToken !== '')
  return ids
}

/** Replaces all users by one for each creation time, in microseconds. */
async function fill(micros: readonly number[]): Promise<void> {
  await sql`truncate users_all cascade`.execute(db)
  for (const offset of micros) await add(offset)
}

async function add(micros: number): Promise<string> {
  const id = randomUUID()
  await sql`
    insert into users_all (id, email, created_at)
    values (${id}, ${id}, timestamptz '2026-01-01Z' + ${micros}::bigint * interval '1 microsecond')`.execute(db)
  return id
}

async function allIds(): Promise<string[]> {
  const rows = await sql<{ id: string }>`select id from users order by created_at desc, id desc`.execute(db)
  return rows.rows.map(row => row.id)
}

t.test('pages of any size return every user once, newest first, also users of the same microsecond', async t => {
  // Few distinct times, less than a millisecond apart: many are equal, and a JavaScript Date cannot distinguish the rest.
  const times = fc.array(fc.integer({ min: 0, max: 5 }), { maxLength: 25, size: 'max' })
  await assertProperty(
    t,
    fc.asyncProperty(times, fc.integer({ min: 1, max: 27 }), async (micros, pageSize) => {
      await fill(micros)
      assert.deepEqual(await walk(pageSize), await allIds())
    }),
    { numRuns: 40 },
  )
})

t.test(
  'a user that exists during a whole listing is returned once and in order despite concurrent inserts and deletes',
  async t => {
    await assertProperty(
      t,
      fc.asyncProperty(
        fc.integer({ min: 1, max: 5 }),
        fc.array(fc.nat(30), { maxLength: 20, size: 'max' }),
        async (size, moves) => {
          await fill(Array.from({ length: 20 }, (_, index) => index % 7))
          const remaining = new Set(await allIds())
          const queue = [...moves]
          const listed = await walk(size, async () => {
            const move = queue.pop()
            if (move === undefined) return
            await add(move)
            const removed = [...remaining][move % remaining.size] ?? ''
            remaining.delete(removed)
            await db.deleteFrom('users').where('id', '=', removed).execute()
          })
          assert.deepEqual(
            listed.filter(id => remaining.has(id)),
            (await allIds()).filter(id => remaining.has(id)),
          )
          assert.equal(new Set(listed).size, listed.length)
        },
      ),
      { numRuns: 15 },
    )
  },
)

t.test('the default page size is 50', async t => {
  await fill(Array.from({ length: 51 }, (_, index) => index))
  const first = await page(0, '')
  t.equal(first.users.length, 50)
  const second = await page(0, first.nextPageToken)
  t.equal(second.users.length, 1)
  t.equal(second.nextPageToken, '')
})

t.test('without users, the list is one empty page', async t => {
  await fill([])
  t.same(await page(10, ''), { users: [], nextPageToken: '' })
})
