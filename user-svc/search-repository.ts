/**
 * Full text search over the documents that a caller may read, the best first.
 *
 * Of what matches and may be read, the newest 1,000 are ranked. To rank all that have a frequent word would take seconds
 * on a million documents, for pages that nobody turns to; a search that is that wide is answered by the new rather than by
 * the best of all. PostgreSQL knows how frequent a word is: it goes by the index of words for a rare one, and from the
 * newest document backwards for a frequent one, until it has enough.
 *
 * A page goes on after the rank and the id of the last, among what was there when the first page was read.
 */
import { type Kysely, sql } from 'kysely'
import type { Caller } from './caller.ts'
import { mayDo } from './document-access.ts'
import type { Position } from './page-token.ts'
import { conditionOf } from './search-condition.ts'
import type { SearchQuery } from './search-query.ts'
import type { Tables, Visibility } from './tables.ts'

const RANKED_AT_MOST = 1000

export interface SearchHit {
  id: string
  owner_id: string
  tags: string[]
  visibility: Visibility
  updated_at: Date
  rank: number
  /** With MARKS around what matched. */
  title: string
  excerpt: string
}

export interface SearchPage {
  hits: SearchHit[]
  /** Where the next page goes on; undefined on the last. */
  next: Position | undefined
}

export interface SearchRepository {
  search(query: SearchQuery, caller: Caller | undefined, size: number, after: Position | undefined): Promise<SearchPage>
}

/**
 * Characters that no title has and that are taken out of a body. `lessThan` stands for that sign, since PostgreSQL leaves
 * out what looks like a tag.
 */
export const MARKS = { begin: '\u0001', end: '\u0002', lessThan: '\u0003' } as const

const SELECTORS = `StartSel=${MARKS.begin}, StopSel=${MARKS.end}`
const WHOLE = `${SELECTORS}, HighlightAll=true`
const EXCERPT = `${SELECTORS}, MaxFragments=2, MaxWords=30, MinWords=12, FragmentDelimiter=" … "`

const markable = (column: 'title' | 'body') =>
  sql<string>`translate(${sql.ref(`documents_all.${column}`)}, ${`<${Object.values(MARKS).join('')}`}, ${MARKS.lessThan})`

export function createSearchRepository(db: Kysely<Tables>): SearchRepository {
  return {
    async search(search, caller, size, after) {
      const { query, holds } = conditionOf(search)
      const { tags, excludedTags } = search
      const [afterRank, afterId, horizon] = after ?? []

      const rows = await db
        .with('candidates', cte =>
          cte
            .selectFrom('documents')
            .select(['id', 'search'])
            .where(mayDo('read', caller))
            .where(holds)
            .$if(tags.length > 0, matching => matching.where(sql<boolean>`tags @> ${[...tags]}::text[]`))
            .$if(excludedTags.length > 0, matching =>
              matching.where(sql<boolean>`not tags && ${[...excludedTags]}::text[]`),
            )
            .$if(horizon !== undefined, matching => matching.where(sql<boolean>`created_at <= ${horizon}::timestamptz`))
            .orderBy('id', 'desc')
            .limit(RANKED_AT_MOST),
        )
        .with('ranked', cte =>
          cte.selectFrom('candidates').select(['id', sql<number>`ts_rank_cd(search, ${query}, 1)`.as('rank')]),
        )
        .with('page', cte =>
          cte
            .selectFrom('ranked')
            .selectAll()
            .$if(after !== undefined, page =>
              page.where(sql<boolean>`(rank, id) < (${afterRank}::float4, ${afterId}::uuid)`),
            )
            .orderBy('rank', 'desc')
            .orderBy('id', 'desc')
            .limit(size + 1),
        )
        .selectFrom('page')
        .innerJoin('documents_all', 'documents_all.id', 'page.id')
        .select(['page.id', 'page.rank', 'owner_id', 'tags', 'visibility', 'updated_at'])
        .select([
          sql<string>`ts_headline('english', ${markable('title')}, ${query}, ${WHOLE})`.as('title'),
          sql<string>`ts_headline('english', ${markable('body')}, ${query}, ${EXCERPT})`.as('excerpt'),
          sql<string>`statement_timestamp()::text`.as('now'),
        ])
        .orderBy('page.rank', 'desc')
        .orderBy('page.id', 'desc')
        .execute()

      const hits = rows.slice(0, size)
      const last = hits.at(-1)
      if (rows.length <= size || last === undefined) return { hits, next: undefined }
      // JSON writes a float4 so that it reads back as it was.
      return { hits, next: [String(last.rank), last.id, horizon ?? last.now] }
    },
  }
}
