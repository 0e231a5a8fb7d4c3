/**
 * What is held of a user, in batches by keyset, from the base tables: closed accounts have an export, and what was deleted
 * is held until the retention is over.
 *
 * Each batch is a statement of its own: a client that reads slowly holds neither a connection nor a snapshot, which would
 * keep vacuum from its work. So the export is not of one moment. The keys (time of writing and id) never change: a row
 * that stays from the beginning to the end is in it exactly once.
 */
import type { Kysely, Selectable } from 'kysely'
import type { CommentRow } from '../documents/comment-repository.ts'
import { DOCUMENT_COLUMNS, type DocumentRow } from '../documents/document-repository.ts'
import type { GrantRow } from '../documents/grant-repository.ts'
import { type Keyset, OLDEST_FIRST, type Page, type Position, readPage } from '../paging/keyset.ts'
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

const BY_DOCUMENT = { direction: 'asc', columns: [['document_id', 'uuid']] } as const satisfies Keyset

/** Documents at their longest are then 5 MB. */
const BATCH = 50

export function createExportRepository(db: Kysely<Tables>): ExportRepository {
  return {
    findUser: id => findStoredUser(db, id),
    documents(owner, signal) {
      const query = db
        .selectFrom('documents_all')
        .select([...DOCUMENT_COLUMNS, 'deleted_at'])
        .where('owner_id', '=', owner)
      return inBatches(signal, after => readPage(query, OLDEST_FIRST, BATCH, after))
    },
    comments(author, signal) {
      const query = db
        .selectFrom('comments_all')
        .select(['id', 'document_id', 'author_id', 'body', 'sentiment', 'created_at', 'deleted_at'])
        .where('author_id', '=', author)
      return inBatches(signal, after => readPage(query, OLDEST_FIRST, BATCH, after))
    },
    grants(user, signal) {
      const query = db.selectFrom('document_grants').selectAll().where('user_id', '=', user)
      return inBatches(signal, after => readPage(query, BY_DOCUMENT, BATCH, after))
    },
  }
}

/** A batch is read when the one before has been taken, and none after the signal. */
async function* inBatches<Row>(
  signal: AbortSignal,
  read: (after: Position | undefined) => Promise<Page<Row>>,
): AsyncGenerator<Row, void, void> {
  let after: Position | undefined
  while (!signal.aborted) {
    const { rows, next } = await read(after)
    yield* rows
    if (next === undefined) return
    after = next
  }
}
