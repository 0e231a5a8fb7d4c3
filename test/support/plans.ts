/** How PostgreSQL would run the statements of some work, with the values that the work gives them. */
import { type CompiledQuery, Kysely, PostgresDialect } from 'kysely'
import pg from 'pg'

/** @param url of a database that is filled and analysed, as the role that owns `schema`. */
export async function plansOf<Tables>(
  { url, schema }: { url: string; schema: string },
  work: (db: Kysely<Tables>) => Promise<unknown>,
): Promise<string[]> {
  const pool = new pg.Pool({ connectionString: url, options: `-c search_path=${schema}`, max: 1 })
  const queries: CompiledQuery[] = []
  const db = new Kysely<Tables>({
    dialect: new PostgresDialect({ pool }),
    log: ({ query }) => void queries.push(query),
  })
  try {
    await work(db)
    const plans: string[] = []
    for (const { sql, parameters } of queries.filter(query =>
      /^\s*(with|select|insert|update|delete)/i.test(query.sql),
    )) {
      const { rows } = await pool.query({ text: `explain ${sql}`, values: [...parameters], rowMode: 'array' })
      plans.push(rows.map(([line]) => line).join('\n'))
    }
    return plans
  } finally {
    await db.destroy()
  }
}
