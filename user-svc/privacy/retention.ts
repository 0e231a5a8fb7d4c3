/**
 * Enforces the retention period: deletes documents and comments past retention, erases deactivated accounts, and purges
 * the rows of erased accounts. Works in batches that commit on their own, so an aborted run resumes where it stopped.
 *
 * A row or user that fails is recorded and skipped; the run continues with the others. After five runs it is set aside.
 */
import type { Kysely } from 'kysely'
import type { Logger } from '#runtime/observability/logger.ts'
import { toStatusError } from '#runtime/postgres/errors.ts'
import { Code, StatusError } from '#runtime/status.ts'
import type { RetentionKind, Tables } from '../tables.ts'
import type { Erasure } from './erasure.ts'
import { createRetentionFailures, MAX_RETENTION_ATTEMPTS } from './retention-failures.ts'
import { createRetentionRepository, type DueRows, RETENTION_BATCH } from './retention-repository.ts'

/** Numbers of deleted rows and affected users of one pass. */
export interface RetentionCounts {
  comments: number
  documents: number
  erased: number
  /** Erased users whose rows were deleted. */
  purged: number
}

export interface Retention {
  /**
   * Runs one pass.
   * @param signal stops it after the current batch.
   * @throws the error of PostgreSQL if it is unavailable; batches committed before it remain.
   */
  run(signal: AbortSignal): Promise<RetentionCounts>
}

export interface RetentionDependencies {
  db: Kysely<Tables>
  erasure: Pick<Erasure, 'eraseDeactivated'>
  /** Retention period in days, counted from deletion, deactivation or erasure. */
  days: number
  logger: Logger
  /** Called for each failure of a row or user. */
  onFailure: (kind: RetentionKind) => void
  /** Default: system time. */
  now?: () => Date
}

const DAY_MS = 24 * 3600 * 1000

export function createRetention(dependencies: RetentionDependencies): Retention {
  const { db, erasure, days, logger, onFailure, now = () => new Date() } = dependencies
  const rows = createRetentionRepository(db)
  const failures = createRetentionFailures(db)

  /**
   * Runs `work` on one row or user. Records a failure, so that the row is skipped until the next run.
   * @returns undefined if it failed.
   */
  async function attempt<R>(kind: RetentionKind, id: string, work: () => Promise<R>): Promise<R | undefined> {
    try {
      const result = await work()
      await failures.remove(kind, id)
      return result
    } catch (error) {
      if (isUnavailable(error)) throw error
      const attempts = await failures.add(kind, id, error)
      onFailure(kind)
      const consequence =
        attempts < MAX_RETENTION_ATTEMPTS ? 'the next run tries again' : 'set aside; see `make doctor`'
      logger.error({ err: error, kind, id, attempts }, `retention of a row failed; ${consequence}`)
      return undefined
    }
  }

  /** Deletes one batch; row by row if a row of it cannot be deleted. @returns the number of rows that are done. */
  async function deleteBatch(due: DueRows): Promise<{ deleted: number; isLast: boolean }> {
    try {
      const deleted = await due.deleteBatch()
      return { deleted, isLast: deleted < RETENTION_BATCH }
    } catch (error) {
      if (isUnavailable(error)) throw error
      const ids = await due.list()
      let deleted = 0
      for (const id of ids) if (await attempt(due.kind, id, () => due.delete(id).then(() => true))) deleted += 1
      return { deleted, isLast: ids.length < RETENTION_BATCH }
    }
  }

  return {
    async run(signal) {
      const before = new Date(now().getTime() - days * DAY_MS)

      async function deleteAll(due: DueRows): Promise<number> {
        let total = 0
        while (!signal.aborted) {
          const { deleted, isLast } = await deleteBatch(due)
          total += deleted
          if (isLast) break
        }
        return total
      }

      /** @param work must remove the user from the list. @returns how often `work` returned true. */
      async function forEachUser(list: () => Promise<string[]>, work: (id: string) => Promise<boolean>) {
        let total = 0
        let ids: string[]
        do {
          ids = signal.aborted ? [] : await list()
          for (const id of ids) if (!signal.aborted && (await attempt('user', id, () => work(id)))) total += 1
        } while (ids.length === RETENTION_BATCH)
        return total
      }

      const counts: RetentionCounts = {
        comments: await deleteAll(rows.comments(before)),
        documents: 0,
        erased: 0,
        purged: 0,
      }
      counts.comments += await deleteAll(rows.commentsOnDocuments(before))
      counts.documents += await deleteAll(rows.documents(before))
      counts.erased = await forEachUser(
        () => rows.listDeactivated(before),
        id => erasure.eraseDeactivated(id, before),
      )
      counts.purged = await forEachUser(
        () => rows.listErased(before),
        async id => {
          counts.comments += await deleteAll(rows.commentsBy(id))
          counts.comments += await deleteAll(rows.commentsOnDocumentsOf(id))
          counts.documents += await deleteAll(rows.documentsOf(id))
          if (!signal.aborted) await rows.purge(id)
          return !signal.aborted
        },
      )
      return counts
    },
  }
}

function isUnavailable(thrown: unknown): boolean {
  const error = toStatusError(thrown)
  return error instanceof StatusError && error.code === Code.UNAVAILABLE
}
