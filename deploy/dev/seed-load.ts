/**
 * Writes a great many rows at once: COPY into tables that have, for the time of it, neither secondary indexes nor foreign
 * keys nor triggers. To build an index of what is there, and to check all references by one join, takes a fraction of
 * doing so row by row. It is one transaction: a load that fails has changed nothing, and nobody ever sees a half of it.
 */
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type pg from 'pg'
import { from as copyFrom } from 'pg-copy-streams'
import type { SeedTable, TableName, Value } from './seed-rows.ts'

export interface LoadStep {
  name: string
  /** Undefined where nothing is counted. */
  rows?: number
  seconds: number
}

/** @param client as the role that owns the tables; its search path leads to them. */
export async function loadRows(
  client: pg.Client,
  tables: Record<TableName, SeedTable>,
  tell: (step: LoadStep) => void,
): Promise<void> {
  const names = Object.keys(tables) as TableName[]
  const step = async (name: string, work: () => Promise<number | undefined>) => {
    const startedAt = performance.now()
    const rows = await work()
    tell({ name, seconds: (performance.now() - startedAt) / 1000, ...(typeof rows === 'number' && { rows }) })
  }

  await client.query('begin')
  try {
    await client.query("set local statement_timeout = 0; set local maintenance_work_mem = '1GB'")
    const rebuild = await takeApart(client, names)
    for (const name of names) await step(name, () => copy(client, name, tables[name]))
    await step('doc_count', () => countDocuments(client))
    for (const { name, statement } of rebuild)
      await step(name, async () => {
        await client.query(statement)
        return undefined
      })
    for (const name of names) await client.query(`alter table ${name} enable trigger user`)
    await client.query('commit')
  } catch (error) {
    await client.query('rollback')
    throw error
  }
  await step('vacuum and analyze', async () => {
    await client.query('set statement_timeout = 0')
    await client.query(`vacuum analyze ${names.join(', ')}`)
    return undefined
  })
}

interface Rebuild {
  name: string
  statement: string
}

/** @returns what brings back, in order, what was taken away: as the database says it was, whatever that is. */
async function takeApart(client: pg.Client, names: readonly TableName[]): Promise<Rebuild[]> {
  const relations = [names.map(name => name)]
  const { rows: keys } = await client.query<{ name: string; table: string; definition: string }>(
    `select conname as name, conrelid::regclass::text as table, pg_get_constraintdef(oid) as definition
     from pg_constraint where contype = 'f' and conrelid = any($1::regclass[])`,
    relations,
  )
  const { rows: indexes } = await client.query<{ name: string; definition: string }>(
    `select indexrelid::regclass::text as name, pg_get_indexdef(indexrelid) as definition
     from pg_index
     where indrelid = any($1::regclass[]) and not exists (select from pg_constraint where conindid = indexrelid)`,
    relations,
  )
  for (const { name, table } of keys) await client.query(`alter table ${table} drop constraint ${name}`)
  for (const { name } of indexes) await client.query(`drop index ${name}`)
  for (const name of names) await client.query(`alter table ${name} disable trigger user`)
  return [
    ...indexes.map(({ name, definition }) => ({ name, statement: definition })),
    ...keys.map(({ name, table, definition }) => ({
      name,
      statement: `alter table ${table} add constraint ${name} ${definition}`,
    })),
  ]
}

async function copy(client: pg.Client, name: TableName, { columns, rows }: SeedTable): Promise<number> {
  const count = { rows: 0 }
  const target = client.query(copyFrom(`copy ${name} (${columns.join(', ')}) from stdin`))
  await pipeline(Readable.from(chunks(rows(), count), { objectMode: false }), target)
  return count.rows
}

const CHUNK_LENGTH = 256 * 1024

/** In the text format of COPY (PostgreSQL, "COPY", File Formats). */
function* chunks(rows: Iterable<readonly Value[]>, count: { rows: number }): Iterable<Buffer> {
  let waiting = ''
  for (const row of rows) {
    waiting += `${row.map(field).join('\t')}\n`
    count.rows++
    if (waiting.length < CHUNK_LENGTH) continue
    yield Buffer.from(waiting)
    waiting = ''
  }
  yield Buffer.from(waiting)
}

function field(value: Value): string {
  if (value === null) return '\\N'
  if (typeof value === 'object')
    return escaped(`{${value.map(entry => `"${entry.replace(/["\\]/g, '\\$&')}"`).join(',')}}`)
  return typeof value === 'number' ? String(value) : escaped(value)
}

const SPECIAL: Record<string, string> = { '\\': '\\\\', '\t': '\\t', '\n': '\\n', '\r': '\\r' }

function escaped(text: string): string {
  return /[\\\t\n\r]/.test(text) ? text.replace(/[\\\t\n\r]/g, sign => SPECIAL[sign] as string) : text
}

/** The triggers would have counted. */
async function countDocuments(client: pg.Client): Promise<number> {
  const { rowCount } = await client.query(`
    update users_all set doc_count = counted.number
    from (select owner_id, count(*) as number from documents_all where deleted_at is null group by owner_id) as counted
    where users_all.id = counted.owner_id`)
  return rowCount ?? 0
}
