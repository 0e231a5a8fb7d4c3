/**
 * Backfill: the rows of before, a thousand at a time. Each batch is a transaction of its own, so that nobody waits for a
 * row longer than a batch takes; one that broke off goes on where it was.
 */
import { type Kysely, sql } from 'kysely'

export const transaction = false

export async function up(db: Kysely<unknown>): Promise<void> {
  let after = '00000000-0000-0000-0000-000000000000'
  for (;;) {
    // By key: to look for what is empty from the start, each time, passes by all that were done.
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
