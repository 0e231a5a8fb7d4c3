import { DummyDriver, Kysely, PostgresAdapter, PostgresIntrospector, PostgresQueryCompiler } from 'kysely'
import t from 'tap'
import { type Keyset, NEWEST_FIRST, OLDEST_FIRST, selectPage, toPage } from '../../../user-svc/paging/keyset.ts'

const db = new Kysely<{ rows: { id: string; created_at: Date } }>({
  dialect: {
    createAdapter: () => new PostgresAdapter(),
    createDriver: () => new DummyDriver(),
    createIntrospector: db => new PostgresIntrospector(db),
    createQueryCompiler: () => new PostgresQueryCompiler(),
  },
})
const BY_ID = { direction: 'asc', columns: [['id', 'uuid']] } as const satisfies Keyset

const row = (id: string) => ({ id, position: [id] })

t.test('a page selects one row more than its size and the position as text', async t => {
  const { sql, parameters } = selectPage(db.selectFrom('rows').select('id'), NEWEST_FIRST, 10, undefined).compile()
  t.equal(
    sql,
    'select "id", array["created_at"::text, "id"::text] as "position" from "rows" order by "created_at" desc, "id" desc limit $1',
  )
  t.same(parameters, [11])
})

t.test('the condition of a later page is a row comparison in the direction of the keyset', async t => {
  for (const [keyset, after, condition] of [
    [NEWEST_FIRST, ['2026-01-01 00:00:00.000001+00', 'a'], '("created_at", "id") < ($1::timestamptz, $2::uuid)'],
    [OLDEST_FIRST, ['2026-01-01 00:00:00.000001+00', 'a'], '("created_at", "id") > ($1::timestamptz, $2::uuid)'],
    [BY_ID, ['a'], '("id") > ($1::uuid)'],
  ] as const) {
    const { sql, parameters } = selectPage(db.selectFrom('rows').select('id'), keyset, 10, after).compile()
    t.match(sql, `where ${condition} order by`)
    t.same(parameters, [...after, 11])
  }
})

t.test('a page has a next position only if a row follows it', async t => {
  t.same(toPage([], 2), { rows: [], next: undefined })
  t.same(toPage([row('a'), row('b')], 2), { rows: [row('a'), row('b')], next: undefined })
  t.same(toPage([row('a'), row('b'), row('c')], 2), { rows: [row('a'), row('b')], next: ['b'] })
})
