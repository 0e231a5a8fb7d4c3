/**
 * Backfill: fills the existing rows in batches of 1,000. Each batch is one transaction, so a concurrent write waits for
 * at most one batch. A repeated run skips the rows that are filled.
 */
import { type Kysely, sql } from 'kysely'

export const transaction = false

export async function up(db: Kysely<unknown>): Promise<void> {
  let after = '00000000-0000-0000-0000-000000000000'
  for (;;) {
    // Continue after the last key: searching for empty rows from the start would scan all filled rows in each batch.
    const { rows } = await sql<{ last: string | null }>`
      with batch as materialized (select id from users_all where id > ${after} order by id limit 1000),
      filled as (
        update users_all set email_domain = split_part(email, '@', 2)
        where id in (select id from batch) and email_domain is null
      )
      select max(id::text) as last from batch`.execute(db)
    const last = rows[0]?.last
    if (last == null) return
    after = last
  }
}

export async function down(): Promise<void> {}
