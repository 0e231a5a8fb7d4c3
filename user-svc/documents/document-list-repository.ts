/**
 * Lists the documents that a caller may read. The statement selects one page for each access condition, each from its
 * own index, and merges the pages. With a single condition joined by `or`, PostgreSQL would scan documents until a page
 * is full, for a caller with access to few documents all of a million.
 */
import { type Expression, type ExpressionBuilder, type Kysely, type SqlBool, sql } from 'kysely'
import {
  type Keyset,
  NEWEST_FIRST,
  OLDEST_FIRST,
  orderByKeyset,
  type Page,
  type Position,
  selectPage,
  toPage,
} from '../paging/keyset.ts'
import type { Tables } from '../tables.ts'
import { type Caller, conditionsFor } from './access-rules.ts'
import { DOCUMENT_COLUMNS, type DocumentRow } from './document-repository.ts'

/** A document without its body. */
export type DocumentSummaryRow = Omit<DocumentRow, 'body'>

/** Undefined fields do not filter. */
export interface DocumentFilter {
  readonly owner: string | undefined
  readonly tag: string | undefined
  /** Inclusive. */
  readonly updatedSince: Date | undefined
}

const LAST_UPDATE = [
  ['updated_at', 'timestamptz'],
  ['id', 'uuid'],
] as const

/** Values of `sort`; a minus sign means descending. */
export type DocumentSort = '-updatedAt' | 'updatedAt' | '-createdAt' | 'createdAt'

/** The order of each value of `sort`. */
export const DOCUMENT_SORTS: Readonly<Record<DocumentSort, Keyset<'created_at' | 'updated_at' | 'id'>>> = {
  '-updatedAt': { ...NEWEST_FIRST, columns: LAST_UPDATE },
  updatedAt: { ...OLDEST_FIRST, columns: LAST_UPDATE },
  '-createdAt': NEWEST_FIRST,
  createdAt: OLDEST_FIRST,
}

export interface DocumentListRepository {
  /** `caller` is undefined if anonymous. */
  page(
    filter: DocumentFilter,
    sort: DocumentSort,
    caller: Caller | undefined,
    size: number,
    after: Position | undefined,
  ): Promise<Page<DocumentSummaryRow>>
}

const SUMMARY_COLUMNS = DOCUMENT_COLUMNS.filter(column => column !== 'body')

type Condition = (row: ExpressionBuilder<Tables, 'documents'>) => Expression<SqlBool>

export function createDocumentListRepository(db: Kysely<Tables>): DocumentListRepository {
  return {
    async page(filter, sort, caller, size, after) {
      const keyset = DOCUMENT_SORTS[sort]
      const pageOf = (isReadable: Condition) =>
        selectPage(
          db.selectFrom('documents').select(SUMMARY_COLUMNS).where(isReadable).where(matches(filter)),
          keyset,
          size,
          after,
        )
      const [first, ...others] = conditionsFor('read', caller).map(isReadable =>
        db.selectFrom(pageOf(isReadable).as('page')).selectAll(),
      )
      if (first === undefined) return { rows: [], next: undefined }
      // `union` removes duplicates: several access conditions may hold for one document.
      const all = others.reduce((union, page) => union.union(page), first)
      const rows = await orderByKeyset(db.selectFrom(all.as('pages')).selectAll(), keyset)
        .limit(size + 1)
        .execute()
      return toPage(rows, size)
    },
  }
}

function matches({ owner, tag, updatedSince }: DocumentFilter): Condition {
  return row =>
    row.and([
      ...(owner === undefined ? [] : [row('owner_id', '=', owner)]),
      ...(tag === undefined ? [] : [sql<boolean>`${row.ref('tags')} @> array[${tag}]::text[]`]),
      ...(updatedSince === undefined ? [] : [row('updated_at', '>=', updatedSince)]),
    ])
}
