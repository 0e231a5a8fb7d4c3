/**
 * What is held of a user, in batches by keyset, from the base tables: closed accounts have an export, and what was deleted
 * is held until the retention is over.
 *
 * Each batch is a statement of its own: a client that reads slowly holds neither a connection nor a snapshot, which would
 * keep vacuum from its work. So the export is not of one moment. The keys (time of writing and id) never change: a row
 * that stays from the beginning to the end is in it exactly once.
 */
import { type Kysely, type Selectable, sql } from 'kysely'
import type { CommentRow } from '../documents/comment-repository.ts'
import { DOCUMENT_COLUMNS, type DocumentRow } from '../documents/document-repository.ts'
import type { GrantRow } from '../documents/grant-repository.ts'
import type { Position } from '../paging/page-token.ts'
import type { DocumentsTable, Tables } from '../tables.ts'
import { findStoredUser, type StoredUserRow } from '../users/stored-user-repository.ts'

type Deleted = Pick<Selectable<DocumentsTable>, 'deleted_at'>

export interface ExportRepository {
  findUser(id: string): Promise<StoredUserRow | undefined>
  documents(owner: string, signal: AbortSignal): AsyncIterable<DocumentRow & Deleted>
  comments(author: string, signal: AbortSignal): AsyncIterable<CommentRow & Deleted>
  /** What the user was granted. */
  grants(user: string, signal: AbortSignal): AsyncIterable<GrantRow>
}

/** With the time of its writing as text, which a Date would cut. */
interface Placed {
  position: string
  id: string
}

const byAge = ({ position, id }: Placed): Position => [position, id]

/** Documents at their longest are then 5 MB. */
const BATCH = 50

export function createExportRepository(db: Kysely<Tables>): ExportRepository {
  const position = sql<string>`created_at::text`.as('position')
  const isAfter = (after: Position) => sql<boolean>`(created_at, id) > (${after[0]}::timestamptz, ${after[1]}::uuid)`

  return {
    findUser: id => findStoredUser(db, id),
    documents: (owner, signal) =>
      inBatches<DocumentRow & Deleted & Placed>(signal, byAge, after =>
        db
          .selectFrom('documents_all')
          .select([...DOCUMENT_COLUMNS, 'deleted_at', position])
          .where('owner_id', '=', owner)
          .$if(after !== undefined, query => query.where(isAfter(after as Position)))
          .orderBy('created_at')
          .orderBy('id')
          .limit(BATCH)
          .execute(),
      ),
    comments: (author, signal) =>
      inBatches<CommentRow & Deleted & Placed>(signal, byAge, after =>
        db
          .selectFrom('comments_all')
          .select(['id', 'document_id', 'author_id', 'body', 'sentiment', 'created_at', 'deleted_at', position])
          .where('author_id', '=', author)
          .$if(after !== undefined, query => query.where(isAfter(after as Position)))
          .orderBy('created_at')
          .orderBy('id')
          .limit(BATCH)
          .execute(),
      ),
    grants: (user, signal) =>
      inBatches(
        signal,
        (row: GrantRow) => [row.document_id],
        after =>
          db
            .selectFrom('document_grants')
            .selectAll()
            .where('user_id', '=', user)
            .$if(after !== undefined, query => query.where('document_id', '>', after?.[0] ?? ''))
            .orderBy('document_id')
            .limit(BATCH)
            .execute(),
      ),
  }
}

/** A batch is read when the one before has been taken, and none after the signal. */
async function* inBatches<Row>(
  signal: AbortSignal,
  positionOf: (row: Row) => Position,
  read: (after: Position | undefined) => Promise<Row[]>,
): AsyncGenerator<Row, void, void> {
  let after: Position | undefined
  while (!signal.aborted) {
    const rows = await read(after)
    yield* rows
    const last = rows.at(-1)
    if (last === undefined || rows.length < BATCH) return
    after = positionOf(last)
  }
}
