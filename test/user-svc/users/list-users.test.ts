import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import { sql } from 'kysely'
import t from 'tap'
import { callUnary } from '#runtime/grpc/client.ts'
import { startUserSystem } from '../user-system.ts'

const { users, database, mint } = await startUserSystem(t)
const { db } = database
const token = mint.access({ role: 'moderator' })

const page = (pageSize: number, pageToken: string) =>
  callUnary(users, users.listUsers, { pageSize, pageToken }, { token })

/** Ids in the order of the pages, with something done between each two. */
async function walk(pageSize: number, between: () => Promise<unknown> = async () => {}): Promise<string[]> {
  const ids: string[] = []
  let pageToken = ''
  do {
    const { users: found, nextPageToken } = await page(pageSize, pageToken)
    assert.ok(found.length <= pageSize)
    assert.ok(found.length === pageSize || nextPageToken === '', 'only the last page may be short')
    ids.push(...found.map(user => user.id))
    pageToken = nextPageToken
    if (pageToken !== '') await between()
  } while (pageToken !== '')
  return ids
}

/** Users created at the microseconds given. */
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

async function everybody(): Promise<string[]> {
  const rows = await sql<{ id: string }>`select id from users order by created_at desc, id desc`.execute(db)
  return rows.rows.map(row => row.id)
}

t.test('pages of any size walk all users once, the newest first, also those of the same microsecond', async () => {
  // Few distinct times, so that many are equal, and less than a millisecond apart, which a Date cannot tell.
  const times = fc.array(fc.integer({ min: 0, max: 5 }), { maxLength: 25, size: 'max' })
  await fc.assert(
    fc.asyncProperty(times, fc.integer({ min: 1, max: 27 }), async (micros, pageSize) => {
      await fill(micros)
      assert.deepEqual(await walk(pageSize), await everybody())
    }),
    { numRuns: 40 },
  )
})

t.test('who stays is met once, in order, however others come and go meanwhile', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 5 }),
      fc.array(fc.nat(30), { maxLength: 20, size: 'max' }),
      async (size, moves) => {
        await fill(Array.from({ length: 20 }, (_, index) => index % 7))
        const staying = new Set(await everybody())
        const queue = [...moves]
        const met = await walk(size, async () => {
          const move = queue.pop()
          if (move === undefined) return
          await add(move)
          const leaving = [...staying][move % staying.size] ?? ''
          staying.delete(leaving)
          await db.deleteFrom('users').where('id', '=', leaving).execute()
        })
        assert.deepEqual(
          met.filter(id => staying.has(id)),
          (await everybody()).filter(id => staying.has(id)),
        )
        assert.equal(new Set(met).size, met.length)
      },
    ),
    { numRuns: 15 },
  )
})

t.test('a page has fifty users unless another size is asked for', async t => {
  await fill(Array.from({ length: 51 }, (_, index) => index))
  const first = await page(0, '')
  t.equal(first.users.length, 50)
  const second = await page(0, first.nextPageToken)
  t.equal(second.users.length, 1)
  t.equal(second.nextPageToken, '')
})

t.test('nobody there is one empty page', async t => {
  await fill([])
  t.same(await page(10, ''), { users: [], nextPageToken: '' })
})
