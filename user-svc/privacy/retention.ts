/**
 * Enforces the retention period: deletes documents and comments past retention, erases deactivated accounts, and purges
 * the rows of erased accounts. Works in batches that commit on their own, so an aborted run resumes where it stopped.
 */
import type { Kysely } from 'kysely'
import type { Tables } from '../tables.ts'
import type { Erasure } from './erasure.ts'
import { createRetentionRepository, RETENTION_BATCH } from './retention-repository.ts'

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
   * @throws the error of a failed statement; batches committed before it remain.
   */
  run(signal: AbortSignal): Promise<RetentionCounts>
}

export interface RetentionDependencies {
  db: Kysely<Tables>
  erasure: Pick<Erasure, 'eraseDeactivated'>
  /** Retention period in days, counted from deletion, deactivation or erasure. */
  days: number
  /** Default: system time. */
  now?: () => Date
}

const DAY_MS = 24 * 3600 * 1000

export function createRetention(dependencies: RetentionDependencies): Retention {
  const { db, erasure, days, now = () => new Date() } = dependencies
  const rows = createRetentionRepository(db)

  return {
    async run(signal) {
      const before = new Date(now().getTime() - days * DAY_MS)

      async function deleteAll(deleteBatch: () => Promise<number>): Promise<number> {
        let total = 0
        while (!signal.aborted) {
          const deleted = await deleteBatch()
          total += deleted
          if (deleted < RETENTION_BATCH) break
        }
        return total
      }

      /** @param work must remove the user from the list. @returns how often `work` returned true. */
      async function forEachUser(list: () => Promise<string[]>, work: (id: string) => Promise<boolean>) {
        let total = 0
        let ids: string[]
        do {
          ids = signal.aborted ? [] : await list()
          for (const id of ids) if (!signal.aborted && (await work(id))) total += 1
        } while (ids.length === RETENTION_BATCH)
        return total
      }

      const counts: RetentionCounts = {
        comments: await deleteAll(() => rows.deleteComments(before)),
        documents: 0,
        erased: 0,
        purged: 0,
      }
      counts.comments += await deleteAll(() => rows.deleteCommentsOnDocuments(before))
      counts.documents += await deleteAll(() => rows.deleteDocuments(before))
      counts.erased = await forEachUser(
        () => rows.listDeactivated(before),
        id => erasure.eraseDeactivated(id, before),
      )
      counts.purged = await forEachUser(
        () => rows.listErased(before),
        async id => {
          counts.comments += await deleteAll(() => rows.deleteCommentsBy(id))
          counts.comments += await deleteAll(() => rows.deleteCommentsOnDocumentsOf(id))
          counts.documents += await deleteAll(() => rows.deleteDocumentsOf(id))
          if (!signal.aborted) await rows.purge(id)
          return !signal.aborted
        },
      )
      return counts
    },
  }
}
