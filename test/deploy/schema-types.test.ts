import { Kysely, PostgresDialect } from 'kysely'
import pg from 'pg'
import t from 'tap'
import { withClient } from '../../deploy/dev/provision.ts'
import { generateTypes } from '../../deploy/dev/schema-types.ts'
import { openTestDatabase } from '../support/test-database.ts'

const { adminUrl } = await openTestDatabase(t)
const db = new Kysely<unknown>({ dialect: new PostgresDialect({ pool: new pg.Pool({ connectionString: adminUrl }) }) })
t.teardown(() => db.destroy())

/** @returns the columns of each interface of the generated module, as `interface.column: type`. */
async function columnsOf(schema: string): Promise<string[]> {
  const text = await generateTypes(db, schema)
  return [...text.matchAll(/^export interface (\w+) \{\n([^}]*)\}/gm)].flatMap(([, name, body = '']) =>
    body.split('\n').flatMap(line => (line === '' ? [] : `${name}.${line.trim().replace(';', '')}`)),
  )
}

t.test('generated types contain checks, generated columns, and defaults and nullability of views', async t => {
  await withClient(adminUrl, client =>
    client.query(`
      create schema shop;
      create table shop.items_all (
        id bigint generated always as identity,
        kind text not null default 'book' check (kind in ('book', 'map')),
        deleted_at timestamptz,
        title text not null,
        words tsvector not null generated always as (to_tsvector('simple', title)) stored,
        length int generated always as (nullif(length(title), 0)) stored,
        parts text[] generated always as (string_to_array(title, ' ')) stored
      );
      create view shop.items as select id, kind, title, words, length, parts from shop.items_all where deleted_at is null;
      create table shop.kysely_migration (name text);`),
  )
  const columns = [
    'id: GeneratedAlways<bigint>',
    'kind: Generated<"book" | "map">',
    'length: GeneratedAlways<number | null>',
    'parts: GeneratedAlways<string[] | null>',
    'title: string',
    'words: GeneratedAlways<string>',
  ]
  const [deleted, table] = ['ItemsAll.deleted_at: Date | null', columns.map(column => `ItemsAll.${column}`)]
  t.strictSame(
    (await columnsOf('shop')).filter(column => !column.startsWith('DB.')).sort(),
    [...columns.map(column => `Items.${column}`), deleted, ...table].sort(),
  )
  t.strictSame(
    (await columnsOf('shop')).filter(column => column.startsWith('DB.')),
    ['DB.items: Items', 'DB.items_all: ItemsAll'],
    'the tables that record migrations are left out',
  )
})

t.test('generateTypes fails on a column of unknown type, and names it', async t => {
  await withClient(adminUrl, client => client.query('create schema net; create table net.hosts (mac macaddr8)'))
  await t.rejects(generateTypes(db, 'net'), { message: 'hosts.mac: unknown type macaddr8' })
})
