/**
 * Pages of the documents that a caller may read. Each way to come to read one gives a page of its own, by an index of its
 * own; the first of all of them are the page. One condition with `or` would have PostgreSQL look at every document until
 * it has enough: on a million documents, for somebody who may read few, that is all of them.
 */
import { type Expression, type ExpressionBuilder, type Kysely, type SqlBool, sql } from 'kysely'
import type { Position } from '../paging/page-token.ts'
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

export const DOCUMENT_SORTS = {
  '-updatedAt': { column: 'updated_at', direction: 'desc' },
  updatedAt: { column: 'updated_at', direction: 'asc' },
  '-createdAt': { column: 'created_at', direction: 'desc' },
  createdAt: { column: 'created_at', direction: 'asc' },
} as const

export type DocumentSort = keyof typeof DOCUMENT_SORTS

export interface DocumentPage {
  documents: DocumentSummaryRow[]
  /** Where the next page goes on; undefined on the last. */
  next: Position | undefined
}

export interface DocumentListRepository {
  page(
    filter: DocumentFilter,
    sort: DocumentSort,
    caller: Caller | undefined,
    size: number,
    after: Position | undefined,
  ): Promise<DocumentPage>
}

const SUMMARY_COLUMNS = DOCUMENT_COLUMNS.filter(column => column !== 'body')

type Condition = (row: ExpressionBuilder<Tables, 'documents'>) => Expression<SqlBool>

export function createDocumentListRepository(db: Kysely<Tables>): DocumentListRepository {
  return {
    async page(filter, sort, caller, size, after) {
      const { column, direction } = DOCUMENT_SORTS[sort]
      const limit = size + 1

      const pageOf = (way: Condition) =>
        db
          .selectFrom('documents')
          .select(SUMMARY_COLUMNS)
          // As text: a Date would lose the microseconds, and with them rows at the edge of a page.
          .select(sql<string>`${sql.ref(column)}::text`.as('position'))
          .where(way)
          .where(matches(filter))
          .$if(after !== undefined, query =>
            query.where(
              sql<boolean>`(${sql.ref(column)}, id) ${sql.raw(direction === 'desc' ? '<' : '>')} (${after?.[0]}::timestamptz, ${after?.[1]}::uuid)`,
            ),
          )
          .orderBy(column, direction)
          .orderBy('id', direction)
          .limit(limit)
          .as('page')

      const [first, ...others] = waysTo('read', caller).map(way => db.selectFrom(pageOf(way)).selectAll())
      if (first === undefined) return { documents: [], next: undefined }
      // One document may be found in several ways: a union has it once.
      const all = others.reduce((united, page) => united.union(page), first)
      const rows = await db
        .selectFrom(all.as('pages'))
        .selectAll()
        .orderBy(column, direction)
        .orderBy('id', direction)
        .limit(limit)
        .execute()
      const documents = rows.slice(0, size)
      const last = documents.at(-1)
      const next = rows.length > size && last !== undefined ? [last.position, last.id] : undefined
      return { documents, next }
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
