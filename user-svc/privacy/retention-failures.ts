/**
 * Rows that a retention run could not delete, or users that it could not erase or purge. A run skips a row that has
 * failed in the last half hour, so that each hourly run tries it once, and a row that has failed five times.
 */
import { type Kysely, type RawBuilder, sql } from 'kysely'
import type { RetentionKind, Tables } from '../tables.ts'

export interface RetentionFailures {
  /** Counts a failure. @returns the number of failures of the row so far. */
  add(kind: RetentionKind, id: string, error: unknown): Promise<number>
  /** Removes the failures of a row that has been deleted, erased or purged. */
  remove(kind: RetentionKind, id: string): Promise<void>
}

/** Number of failures after which a row is set aside. */
export const MAX_RETENTION_ATTEMPTS = 5

const MAX_ERROR_LENGTH = 500

export function createRetentionFailures(db: Kysely<Tables>): RetentionFailures {
  return {
    async add(kind, id, error) {
      const text = String(error).slice(0, MAX_ERROR_LENGTH)
      const { rows } = await sql<{ attempts: number }>`
        insert into retention_failures (kind, id, error, attempts) values (${kind}, ${id}, ${text}, 1)
        on conflict (kind, id) do update set
          error = excluded.error,
          attempts = retention_failures.attempts + 1,
          failed_at = clock_timestamp()
        returning attempts`.execute(db)
      return rows[0]?.attempts ?? 1
    },
    async remove(kind, id) {
      await db.deleteFrom('retention_failures').where('kind', '=', kind).where('id', '=', id).execute()
    },
  }
}

/** Condition: the row with the given id is not skipped. */
export function isNotSkipped(kind: RetentionKind, id: RawBuilder<unknown>): RawBuilder<boolean> {
  return sql<boolean>`not exists (
    select from retention_failures as failure
    where failure.kind = ${kind} and failure.id = ${id}
      and (failure.attempts >= ${MAX_RETENTION_ATTEMPTS} or failure.failed_at > now() - interval '30 minutes')
  )`
}
