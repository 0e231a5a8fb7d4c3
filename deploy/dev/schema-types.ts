/**
 * A schema as types for Kysely: what `make schema` writes into a service's `schema.ts`, and a test compares with. A
 * service's `tables.ts` is written by hand, since it says more (what triggers keep, what goes by which name); the compiler
 * checks there that it says nothing else.
 *
 * Not kysely-codegen, for which every column of a view may be null and every text is any text. Here:
 * - a column is never null when the planner says so, who drops `is null` from what can't be (PostgreSQL 17 and later),
 *   through views and their joins;
 * - a text with a check `in (…)` is one of these;
 * - a view that shows one table has what is known of its columns.
 */
import type pg from 'pg'
import { LEDGER_TABLES } from '#runtime/postgres/migration-ledger.ts'

interface ColumnRow {
  relation: string
  column: string
  type: string
  is_generated: boolean
  has_default: boolean
  is_view: boolean
}

/** As openDatabase has them parsed (runtime/postgres/database.ts). */
const TYPES: Record<string, string> = {
  boolean: 'boolean',
  bigint: 'bigint',
  bytea: 'Buffer',
  date: 'Date',
  'double precision': 'number',
  integer: 'number',
  jsonb: 'unknown',
  real: 'number',
  smallint: 'number',
  text: 'string',
  'text[]': 'string[]',
  'timestamp with time zone': 'Date',
  tsvector: 'string',
  uuid: 'string',
  'uuid[]': 'string[]',
}

const COLUMNS = `
  select relname as relation, attname as column, format_type(atttypid, atttypmod) as type,
    attgenerated <> '' or attidentity = 'a' as is_generated, atthasdef or attidentity = 'd' as has_default,
    relkind in ('v', 'm') as is_view
  from pg_class join pg_attribute on attrelid = pg_class.oid
  where relnamespace = $1::regnamespace and relkind in ('r', 'p', 'v', 'm') and relname <> all ($2)
    and attnum > 0 and not attisdropped
  order by relname, attnum`

const CHECKS = `
  select relname as relation, pg_get_constraintdef(pg_constraint.oid) as definition
  from pg_constraint join pg_class on pg_class.oid = conrelid
  where relnamespace = $1::regnamespace and contype = 'c'`

const VIEWED = `
  select distinct view.relname as view, viewed.relname as relation
  from pg_depend
  join pg_rewrite on pg_rewrite.oid = objid and classid = 'pg_rewrite'::regclass
  join pg_class view on view.oid = ev_class
  join pg_class viewed on viewed.oid = refobjid and refclassid = 'pg_class'::regclass
  where view.relnamespace = $1::regnamespace and viewed.relnamespace = $1::regnamespace and viewed.oid <> view.oid`

/** @throws for a type of which we do not know what becomes of it. */
export async function generateTypes(client: pg.Client, schema: string): Promise<string> {
  await client.query(`set search_path = ${client.escapeIdentifier(schema)}`)
  const { rows: columns } = await client.query<ColumnRow>(COLUMNS, [schema, LEDGER_TABLES])
  const relations = Map.groupBy(columns, column => column.relation)
  const choices = await readChoices(client, schema)
  const sources = await findSources(client, schema, relations)

  const interfaces: string[] = []
  for (const [relation, columns] of relations) {
    const source = sources.get(relation)
    const lines: string[] = []
    for (const column of columns) {
      const origin = relations.get(source ?? '')?.find(({ column: name }) => name === column.column) ?? column
      const known = choices.get(`${origin.relation}.${origin.column}`) ?? TYPES[column.type]
      if (known === undefined) throw new Error(`${relation}.${column.column}: what is ${column.type} in TypeScript?`)
      const type = (await isNeverNull(client, column)) ? known : `${known} | null`
      lines.push(`  ${column.column}: ${withDefault(type, origin)}`)
    }
    interfaces.push(`  ${relation}: {\n${lines.map(line => `  ${line}`).join('\n')}\n  }`)
  }
  const body = `export interface Schema {\n${interfaces.join('\n')}\n}\n`
  const imports = ['Generated', 'GeneratedAlways'].filter(name => body.includes(`${name}<`)).join(', ')
  return `// Made by \`make schema\` from the migrations, to be compared with tables.ts; do not edit.\nimport type { ${imports} } from 'kysely'\n\n${body}`
}

function withDefault(type: string, { is_generated, has_default }: ColumnRow): string {
  if (is_generated) return `GeneratedAlways<${type}>`
  return has_default ? `Generated<${type}>` : type
}

/** Of columns with a check `in (…)`: the union of what they may be. */
async function readChoices(client: pg.Client, schema: string): Promise<Map<string, string>> {
  const { rows } = await client.query<{ relation: string; definition: string }>(CHECKS, [schema])
  const choices = new Map<string, string>()
  for (const { relation, definition } of rows) {
    const [, column, list = ''] = /^CHECK \(\((\w+) = ANY \(ARRAY\[([^\]]*)\]\)\)\)$/.exec(definition) ?? []
    const values = [...list.matchAll(/'([^']*)'::text/g)].map(([, value]) => `'${value}'`)
    if (values.length > 0) choices.set(`${relation}.${column}`, values.join(' | '))
  }
  return choices
}

/** The table or view that has every column of a view which reads it; none where that is not a single one. */
async function findSources(
  client: pg.Client,
  schema: string,
  relations: Map<string, ColumnRow[]>,
): Promise<Map<string, string>> {
  const { rows } = await client.query<{ view: string; relation: string }>(VIEWED, [schema])
  const has = (relation: string, names: string[]) => {
    const own = new Set(relations.get(relation)?.map(({ column }) => column))
    return names.every(name => own.has(name))
  }
  const sources = new Map<string, string>()
  for (const [view, reads] of Map.groupBy(rows, row => row.view)) {
    const names = relations.get(view)?.map(({ column }) => column) ?? []
    const [source, ...others] = reads.filter(({ relation }) => has(relation, names))
    if (source !== undefined && others.length === 0) sources.set(view, source.relation)
  }
  return sources
}

async function isNeverNull(client: pg.Client, { relation, column }: ColumnRow): Promise<boolean> {
  const [table, name] = [relation, column].map(part => client.escapeIdentifier(part))
  const { rows } = await client.query<{ 'QUERY PLAN': string }>(`explain select from ${table} where ${name} is null`)
  return rows.some(row => row['QUERY PLAN'].includes('One-Time Filter: false'))
}
