import { readFile } from 'node:fs/promises'
import path from 'node:path'
import type { Generated, GeneratedAlways } from 'kysely'
import t from 'tap'
import type { DB as AuthSchema } from '../../auth-svc/schema.ts'
import type { Tables as AuthTables } from '../../auth-svc/tables.ts'
import { ROOT } from '../../deploy/dev/migrate.ts'
import { describeSchemas } from '../../deploy/dev/schema-files.ts'
import type { DB as UserSchema } from '../../user-svc/schema.ts'
import type { Tables as UserTables } from '../../user-svc/tables.ts'
import type { Disagreements } from '../support/table-agreement.ts'
import { openTestDatabase } from '../support/test-database.ts'

t.test('schema.sql and schema.ts of each service match its migrations', async t => {
  const { adminUrl } = await openTestDatabase(t)
  for (const [file, generated] of await describeSchemas(adminUrl)) {
    t.equal(
      await readFile(path.join(ROOT, file), 'utf8'),
      generated,
      `${file} differs from the migrations: run make schema`,
    )
  }
})

// Compile-time assertions: a compiler error of `make check` names the column that differs in tables.ts.
export const inAuth = (line: Disagreements<AuthTables, AuthSchema>): never => line
export const inUsers = (line: Disagreements<UserTables, UserSchema>): never => line

interface Database {
  one: { id: Generated<string>; total: GeneratedAlways<number>; kind: 'a' | 'b'; text: string; ended: Date | null }
}
type Table = Database['one']

export const agreed = [
  (line: Disagreements<Database, Database>): never => line,
  (line: Disagreements<{ one: Omit<Table, 'text'> & { text: 'x' | 'y' } }, Database>): never => line,
  (line: Disagreements<{ one: Omit<Table, 'id'> & { id: GeneratedAlways<string> } }, Database>): never => line,
]
'one is not in tables.ts' satisfies Disagreements<object, Database>
'two is not in the database' satisfies Disagreements<Database & { two: Table }, Database>
'one.kind is not in tables.ts' satisfies Disagreements<{ one: Omit<Table, 'kind'> }, Database>
'one.more is not in the database' satisfies Disagreements<{ one: Table & { more: string } }, Database>
'one.kind has another type' satisfies Disagreements<{ one: Omit<Table, 'kind'> & { kind: 'a' } }, Database>
'one.kind has another type' satisfies Disagreements<{ one: Omit<Table, 'kind'> & { kind: string } }, Database>
'one.ended differs in nullability' satisfies Disagreements<{ one: Omit<Table, 'ended'> & { ended: Date } }, Database>
'one.text has another insert type' satisfies Disagreements<
  { one: Omit<Table, 'text'> & { text: Generated<string> } },
  Database
>
'one.total has another update type' satisfies Disagreements<{ one: Omit<Table, 'total'> & { total: number } }, Database>
