/** Query plans of SQL statements, for their actual parameter values. */
import { type CompiledQuery, Kysely, PostgresDialect } from 'kysely'
import pg from 'pg'

/**
 * Runs `work` and returns the plan (EXPLAIN) of each statement that it sent, as text.
 * @param database URL of a database with data and statistics, as the role that owns `schema`.
 */
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
