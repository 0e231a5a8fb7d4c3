/**
 * Bulk load with COPY. Secondary indexes and foreign keys are dropped and triggers disabled before, and restored after:
 * building an index once and checking all references with one join takes a fraction of the time of doing it per row.
 * The load is one transaction, so a failed load changes nothing.
 */
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type pg from 'pg'
import { from as copyFrom } from 'pg-copy-streams'
import type { SeedTable, TableName, Value } from './seed-rows.ts'

/** A finished step of the load, for progress messages. */
export interface LoadStep {
  /** Name of the table, index or constraint. */
  name: string
  /** Number of rows written; undefined if the step writes none. */
  rows?: number
  seconds: number
}

/**
 * Writes the rows of all tables, restores the indexes, constraints and triggers, then runs VACUUM ANALYZE.
 * @param client a connection as the owner of the tables, with their schema on its search path.
 */
export async function loadRows(
  client: pg.Client,
  tables: Record<TableName, SeedTable>,
  onStep: (step: LoadStep) => void,
): Promise<void> {
  const names = Object.keys(tables) as TableName[]
  const step = async (name: string, work: () => Promise<number | undefined>) => {
    const startedAt = performance.now()
    const rows = await work()
    onStep({ name, seconds: (performance.now() - startedAt) / 1000, ...(typeof rows === 'number' && { rows }) })
  }

  await client.query('begin')
  try {
    await client.query("set local statement_timeout = 0; set local maintenance_work_mem = '1GB'")
    const restore = await dropIndexesAndKeys(client, names)
    for (const name of names) await step(name, () => copy(client, name, tables[name]))
    await step('doc_count', () => countDocuments(client))
    for (const { name, statement } of restore)
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

interface RestoreStep {
  name: string
  statement: string
}

/** Drops secondary indexes and foreign keys, disables triggers. @returns the statements that restore the former. */
async function dropIndexesAndKeys(client: pg.Client, names: readonly TableName[]): Promise<RestoreStep[]> {
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
  // Sets a required column.
  await client.query('alter table documents_all enable trigger set_words')
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

/** Minimum length of a chunk, in characters. */
const CHUNK_LENGTH = 256 * 1024

/** Formats rows in the text format of COPY (PostgreSQL documentation, "COPY", "File Formats"). */
function* chunks(rows: Iterable<readonly Value[]>, count: { rows: number }): Iterable<Buffer> {
  let chunk = ''
  for (const row of rows) {
    chunk += `${row.map(field).join('\t')}\n`
    count.rows++
    if (chunk.length < CHUNK_LENGTH) continue
    yield Buffer.from(chunk)
    chunk = ''
  }
  yield Buffer.from(chunk)
}

function field(value: Value): string {
  if (value === null) return '\\N'
  if (typeof value === 'object')
    return escapeText(`{${value.map(entry => `"${entry.replace(/["\\]/g, '\\$&')}"`).join(',')}}`)
  return typeof value === 'number' ? String(value) : escapeText(value)
}

const ESCAPES: Record<string, string> = { '\\': '\\\\', '\t': '\\t', '\n': '\\n', '\r': '\\r' }

function escapeText(text: string): string {
  return /[\\\t\n\r]/.test(text) ? text.replace(/[\\\t\n\r]/g, character => ESCAPES[character] as string) : text
}

/** Sets `doc_count`, which the disabled triggers did not maintain. */
async function countDocuments(client: pg.Client): Promise<number> {
  const { rowCount } = await client.query(`
    update users_all set doc_count = counted.number
    from (select owner_id, count(*) as number from documents_all where deleted_at is null group by owner_id) as counted
    where users_all.id = counted.owner_id`)
  return rowCount ?? 0
}
