/**
 * Reads all data that this service stores about a user, in batches by keyset. Reads the base tables, because
 * deactivated users have an export, and deleted rows are stored until the end of retention.
 *
 * Each batch is a separate statement: a slow client holds neither a connection nor a snapshot, which would block
 * vacuum. Therefore the export is not a consistent snapshot. The keys (creation time and id) are immutable: a row that
 * exists during the whole export is contained exactly once.
 */
import type { Kysely, Selectable } from 'kysely'
import type { CommentRow } from '../documents/comment-repository.ts'
import { DOCUMENT_COLUMNS, type DocumentRow } from '../documents/document-repository.ts'
import type { GrantRow } from '../documents/grant-repository.ts'
import { type Keyset, OLDEST_FIRST, type Page, type Position, readPage } from '../paging/keyset.ts'
import type { DocumentsTable, Tables } from '../tables.ts'
import { findStoredUser, type StoredUserRow } from '../users/user-repository.ts'

type Deleted = Pick<Selectable<DocumentsTable>, 'deleted_at'>

/** Read-only. The iterables reject with the error of a failed statement. */
export interface ExportRepository {
  findUser(id: string): Promise<StoredUserRow | undefined>
  /** Oldest first. Like the other lists, ends without error if `signal` aborts. */
  documents(owner: string, signal: AbortSignal): AsyncIterable<DocumentRow & Deleted>
  /** Oldest first. */
  comments(author: string, signal: AbortSignal): AsyncIterable<CommentRow & Deleted>
  /** By document id. */
  grants(user: string, signal: AbortSignal): AsyncIterable<GrantRow>
}

const BY_DOCUMENT = { direction: 'asc', columns: [['document_id', 'uuid']] } as const satisfies Keyset

/** Rows per statement. Documents of maximum size are then 5 MB. */
const BATCH = 50

/** @param db one connection per batch; none between batches. */
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

/** Reads a batch after the previous one was consumed, and none after `signal` aborted. */
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
