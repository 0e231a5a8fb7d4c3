/**
 * Pages of the documents that a caller may read. Each way to come to read one gives a page of its own, by an index of its
 * own; the first of all of them are the page. One condition with `or` would have PostgreSQL look at every document until
 * it has enough: on a million documents, for somebody who may read few, that is all of them.
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
import type { Caller } from '../users/caller.ts'
import { waysTo } from './document-access.ts'
import { DOCUMENT_COLUMNS, type DocumentRow } from './document-repository.ts'

export type DocumentSummaryRow = Omit<DocumentRow, 'body'>

export interface DocumentFilter {
  readonly owner: string | undefined
  readonly tag: string | undefined
  readonly updatedSince: Date | undefined
}

const LAST_UPDATE = [
  ['updated_at', 'timestamptz'],
  ['id', 'uuid'],
] as const

export type DocumentSort = '-updatedAt' | 'updatedAt' | '-createdAt' | 'createdAt'

/** The orders of the list, by the value of `sort`. */
export const DOCUMENT_SORTS: Readonly<Record<DocumentSort, Keyset<'created_at' | 'updated_at' | 'id'>>> = {
  '-updatedAt': { ...NEWEST_FIRST, columns: LAST_UPDATE },
  updatedAt: { ...OLDEST_FIRST, columns: LAST_UPDATE },
  '-createdAt': NEWEST_FIRST,
  createdAt: OLDEST_FIRST,
}

export interface DocumentListRepository {
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
      const pageOf = (way: Condition) =>
        selectPage(
          db.selectFrom('documents').select(SUMMARY_COLUMNS).where(way).where(matches(filter)),
          keyset,
          size,
          after,
        )
      const [first, ...others] = waysTo('read', caller).map(way => db.selectFrom(pageOf(way).as('page')).selectAll())
      if (first === undefined) return { rows: [], next: undefined }
      // One document may be found in several ways: a union has it once.
      const all = others.reduce((united, page) => united.union(page), first)
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
