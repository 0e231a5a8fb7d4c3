/**
 * Generates the `schema.ts` of a service with kysely-codegen. The compiler compares it with `tables.ts`, which is
 * written by hand because it also documents the columns and says which of them triggers maintain.
 *
 * kysely-codegen knows no check constraints and no `GeneratedAlways`, and treats every column of a view as nullable and
 * without a default. The catalog and the planner supply these facts:
 * - A text column with a check `in (…)` is a union of these values.
 * - A column that only PostgreSQL writes is `GeneratedAlways`.
 * - A column of a view is not nullable if the planner reduces `is null` to false (PostgreSQL 17 or later), through
 *   joins too.
 * - A column of the view `x` has the default and the values of the same column of the table `x_all`.
 */
import { type Kysely, sql } from 'kysely'
import {
  ArrayExpressionNode,
  type ColumnMetadata,
  GenericExpressionNode,
  IdentifierNode,
  PostgresDialect,
  serializeFromMetadata,
  type TableMetadata,
  UnionExpressionNode,
} from 'kysely-codegen'
import { LEDGER_TABLES } from '#runtime/postgres/migration-ledger.ts'

/** Types that `openDatabase` (runtime/postgres/database.ts) parses otherwise than kysely-codegen assumes. */
const TYPES: Record<string, string> = { date: 'Date', int8: 'bigint', jsonb: 'unknown', timestamptz: 'Date' }

/**
 * @param db connection to a migrated database, as a role that may read the tables.
 * @param schema the schema to describe. The tables that record migrations are left out.
 * @returns the text of a TypeScript module that exports an interface `DB`.
 * @throws if kysely-codegen does not know the type of a column; it would declare the column as `string`.
 */
export async function generateTypes(db: Kysely<unknown>, schema: string): Promise<string> {
  const dialect = new PostgresDialect({ defaultSchemas: [schema] })
  const metadata = await dialect.introspector.introspect({
    db,
    includePattern: `${schema}.*`,
    excludePattern: `${schema}.{${LEDGER_TABLES.join(',')}}`,
  })
  const scalars: Record<string, IdentifierNode> = dialect.adapter.scalars
  const choices = await readChoices(db, schema)
  const generated = await readGeneratedColumns(db, schema)
  const overrides: Record<string, GenericExpressionNode> = {}
  for (const table of metadata.tables) {
    for (const column of table.columns) {
      const type = TYPES[column.dataType]
      const scalar = type === undefined ? scalars[column.dataType] : new IdentifierNode(type)
      if (scalar === undefined) throw new Error(`${table.name}.${column.name}: unknown type ${column.dataType}`)
      if (table.isView) await completeViewColumn(db, metadata.tables, table, column)
      const origin = `${table.isView ? `${table.name}_all` : table.name}.${column.name}`
      column.enumValues = choices.get(origin) ?? null
      if (!generated.has(origin)) continue
      const values = column.isArray ? new ArrayExpressionNode(scalar) : scalar
      const selected = column.isNullable ? new UnionExpressionNode([values, new IdentifierNode('null')]) : values
      // kysely-codegen would write `GeneratedAlways<…> | null`, which allows inserts of null.
      column.isNullable = false
      // A node, because kysely-codegen parses strings with an API that TypeScript 7 does not have.
      overrides[`${table.name}.${column.name}`] = new GenericExpressionNode('GeneratedAlways', [selected])
    }
  }
  return serializeFromMetadata({
    dialect,
    metadata,
    defaultSchemas: [schema],
    typeMapping: TYPES,
    customImports: { GeneratedAlways: 'kysely' },
    overrides: { columns: overrides },
  })
}

async function completeViewColumn(
  db: Kysely<unknown>,
  tables: readonly TableMetadata[],
  view: TableMetadata,
  column: ColumnMetadata,
): Promise<void> {
  const table = tables.find(({ name }) => name === `${view.name}_all`)
  column.hasDefaultValue = table?.columns.find(({ name }) => name === column.name)?.hasDefaultValue ?? false
  const { rows } = await sql<{ 'QUERY PLAN': string }>`
    explain select from ${sql.id(view.schema ?? '', view.name)} where ${sql.id(column.name)} is null`.execute(db)
  column.isNullable = !rows.some(row => row['QUERY PLAN'].includes('One-Time Filter: false'))
}

/** @returns the values of each column with a check `in (…)`, by `table.column`. */
async function readChoices(db: Kysely<unknown>, schema: string): Promise<Map<string, string[]>> {
  const { rows } = await sql<{ table: string; definition: string }>`
    select relname as table, pg_get_constraintdef(pg_constraint.oid) as definition
    from pg_constraint join pg_class on pg_class.oid = conrelid
    where relnamespace = ${schema}::regnamespace and contype = 'c'`.execute(db)
  const choices = new Map<string, string[]>()
  for (const { table, definition } of rows) {
    const [, column, list = ''] = /^CHECK \(\((\w+) = ANY \(ARRAY\[([^\]]*)\]\)\)\)$/.exec(definition) ?? []
    const values = [...list.matchAll(/'([^']*)'::text/g)].map(([, value = '']) => value)
    if (values.length > 0) choices.set(`${table}.${column}`, values)
  }
  return choices
}

/** @returns the generated columns and those that are always an identity, as `table.column`. */
async function readGeneratedColumns(db: Kysely<unknown>, schema: string): Promise<Set<string>> {
  const { rows } = await sql<{ column: string }>`
    select relname || '.' || attname as column from pg_attribute join pg_class on pg_class.oid = attrelid
    where relnamespace = ${schema}::regnamespace and (attgenerated <> '' or attidentity = 'a')`.execute(db)
  return new Set(rows.map(({ column }) => column))
}
