/**
 * What happens when the retention is over: documents and comments that were deleted are gone for good, accounts that were
 * closed are erased, and the emptied rows of those who were erased follow. In batches, each of which stands by itself: a
 * run that was stopped is gone on with by the next.
 */
import type { Kysely } from 'kysely'
import type { Tables } from '../tables.ts'
import type { Erasure } from './erasure.ts'
import { createRetentionRepository, RETENTION_BATCH } from './retention-repository.ts'

/** How many rows are gone, and how many users were erased and purged. */
export interface RetentionCounts {
  comments: number
  documents: number
  erased: number
  purged: number
}

export interface Retention {
  /** All that is due, or as much of it as comes before the signal. */
  run(signal: AbortSignal): Promise<RetentionCounts>
}

export interface RetentionDependencies {
  db: Kysely<Tables>
  erasure: Pick<Erasure, 'eraseClosed'>
  days: number
  now?: () => Date
}

const DAY_MS = 24 * 3600 * 1000

export function createRetention(dependencies: RetentionDependencies): Retention {
  const { db, erasure, days, now = () => new Date() } = dependencies
  const rows = createRetentionRepository(db)

  return {
    async run(signal) {
      const before = new Date(now().getTime() - days * DAY_MS)

      async function drain(deleteBatch: () => Promise<number>): Promise<number> {
        let total = 0
        while (!signal.aborted) {
          const deleted = await deleteBatch()
          total += deleted
          if (deleted < RETENTION_BATCH) break
        }
        return total
      }

      /** @param work for each; who is done with must not be listed again. @returns how often it says that it did. */
      async function forEach(list: () => Promise<string[]>, work: (id: string) => Promise<boolean>): Promise<number> {
        let total = 0
        let ids: string[]
        do {
          ids = signal.aborted ? [] : await list()
          for (const id of ids) if (!signal.aborted && (await work(id))) total += 1
        } while (ids.length === RETENTION_BATCH)
        return total
      }

      const counts: RetentionCounts = {
        comments: await drain(() => rows.deleteComments(before)),
        documents: 0,
        erased: 0,
        purged: 0,
      }
      counts.comments += await drain(() => rows.deleteCommentsOnDocuments(before))
      counts.documents += await drain(() => rows.deleteDocuments(before))
      counts.erased = await forEach(
        () => rows.listClosed(before),
        id => erasure.eraseClosed(id, before),
      )
      counts.purged = await forEach(
        () => rows.listErased(before),
        async id => {
          counts.comments += await drain(() => rows.deleteCommentsBy(id))
          counts.comments += await drain(() => rows.deleteCommentsOnDocumentsOf(id))
          counts.documents += await drain(() => rows.deleteDocumentsOf(id))
          if (!signal.aborted) await rows.purge(id)
          return !signal.aborted
        },
      )
      return counts
    },
  }
}
