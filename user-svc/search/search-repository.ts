/**
 * Full text search over the documents that a caller may read, the best first.
 *
 * On a million documents a frequent word is in hundreds of thousands, so a search has bounds:
 *
 * - Of what matches and may be read, the newest 1,000 are ranked. A search that is that wide is answered by the new rather
 *   than by the best of all. Each way to come to read a document gives its newest by its own index; PostgreSQL knows how
 *   frequent a word is, and goes by the index of words for a rare one, from the newest document backwards for a frequent one.
 * - Phrases and what is excluded are looked for in the newest 5,000 of each way that have all the words and tags: the
 *   index of words cannot tell, and without this a phrase of frequent words that is nowhere has every document read.
 * - An excerpt is of the first 20,000 characters of a body. PostgreSQL marks about 1 MB a second.
 *
 * Not bounded but by the statement's timeout: frequent words that are never in one document, which PostgreSQL takes for
 * independent of each other.
 *
 * Measured, 20 hits of 1,000,000 documents of 20 to 120 words, a fifth public, a fifth of 10 departments; two cores that
 * others used too, 128 MB of shared buffers; p50 / p95 in ms, of nobody and of a user with a department and 2,000 grants:
 *
 *   rare word                   6 / 8         15 / 17
 *   word in 97 %                17 / 21       45 / 54
 *   prefix                      20 / 31       60 / 74
 *   tag                         8 / 12        15 / 26
 *   phrase, each word in 90 %   67 / 75       147 / 164
 *   phrase, each word in 29 %   694 / 878     1118 / 1602
 *   tag:a -word -word           640 / 766     749 / 1080
 *
 * By one condition with `or`, and without the second bound, the phrase took 2,500 and a tag without words 6,600. Ranked
 * by ts_rank_cd, which takes 0.4 ms for a body of 70,000 characters, where ts_rank takes 1.6.
 *
 * A page goes on after the rank and the id of the last, among what was there when the first page was read.
 */
import { type Expression, type ExpressionBuilder, type Kysely, type RawBuilder, type SqlBool, sql } from 'kysely'
import { waysTo } from '../documents/document-access.ts'
import { type Keyset, type Page, type Position, selectPage, toPage } from '../paging/keyset.ts'
import type { Tables, Visibility } from '../tables.ts'
import type { Caller } from '../users/caller.ts'
import { conditionOf } from './search-condition.ts'
import type { SearchQuery } from './search-query.ts'

const RANKED_AT_MOST = 1000
const CHECKED_AT_MOST = 5000
const EXCERPT_FROM = 20_000

type Condition = (row: ExpressionBuilder<Tables, 'documents'>) => Expression<SqlBool>

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

export interface SearchRepository {
  search(
    query: SearchQuery,
    caller: Caller | undefined,
    size: number,
    after: Position | undefined,
  ): Promise<Page<SearchHit>>
}

/**
 * Characters that no title has and that are taken out of a body. `lessThan` stands for that sign, since PostgreSQL leaves
 * out what looks like a tag.
 */
export const MARKS = { begin: '\u0001', end: '\u0002', lessThan: '\u0003' } as const

const SELECTORS = `StartSel=${MARKS.begin}, StopSel=${MARKS.end}`
const WHOLE = `${SELECTORS}, HighlightAll=true`
const EXCERPT = `${SELECTORS}, MaxFragments=2, MaxWords=30, MinWords=12, FragmentDelimiter=" … "`

const markable = (text: RawBuilder<string>) =>
  sql<string>`translate(${text}, ${`<${Object.values(MARKS).join('')}`}, ${MARKS.lessThan})`

const BEST_FIRST = {
  direction: 'desc',
  columns: [
    ['rank', 'float4'],
    ['id', 'uuid'],
  ],
} as const satisfies Keyset

export function createSearchRepository(db: Kysely<Tables>): SearchRepository {
  return {
    async search(search, caller, size, after) {
      const { query, hasWords, holds } = conditionOf(search)
      const horizon = after?.[2]

      const newestBy = (way: Condition) =>
        db
          .selectFrom('documents')
          .select(['id', 'created_at', 'search', 'tags'])
          .where(way)
          .where(hasWords)
          .$if(horizon !== undefined, matching => matching.where(sql<boolean>`created_at <= ${horizon}::timestamptz`))
          .orderBy('created_at', 'desc')
          .orderBy('id', 'desc')
          .limit(holds === undefined ? RANKED_AT_MOST : CHECKED_AT_MOST)
      const candidatesBy = (way: Condition) =>
        db
          .selectFrom(newestBy(way).as('newest'))
          .select(['id', 'created_at'])
          .$if(holds !== undefined, checked => checked.where(holds ?? sql<boolean>`true`))
          .orderBy('created_at', 'desc')
          .orderBy('id', 'desc')
          .limit(RANKED_AT_MOST)
      const [first, ...others] = waysTo('read', caller).map(way =>
        db.selectFrom(candidatesBy(way).as('candidates')).selectAll(),
      )
      if (first === undefined) return { rows: [], next: undefined }
      // One document may be found in several ways: a union has it once.
      const united = others.reduce((so, one) => so.union(one), first)

      const rows = await db
        .with('candidates', cte =>
          cte
            .selectFrom(united.as('united'))
            .select('id')
            .orderBy('created_at', 'desc')
            .orderBy('id', 'desc')
            .limit(RANKED_AT_MOST),
        )
        .with('ranked', cte =>
          cte
            .selectFrom('candidates')
            .innerJoin('documents_all', 'documents_all.id', 'candidates.id')
            .select(['candidates.id', sql<number>`ts_rank_cd(search, ${query}, 1)`.as('rank')]),
        )
        .with('page', cte => selectPage(cte.selectFrom('ranked').selectAll(), BEST_FIRST, size, after))
        .selectFrom('page')
        .innerJoin('documents_all', 'documents_all.id', 'page.id')
        .select(['page.id', 'page.rank', 'page.position', 'owner_id', 'tags', 'visibility', 'updated_at'])
        .select([
          sql<string>`ts_headline('english', ${markable(sql`title`)}, ${query}, ${WHOLE})`.as('title'),
          sql<string>`ts_headline('english', ${markable(sql`left(body, ${EXCERPT_FROM}::int)`)}, ${query}, ${EXCERPT})`.as(
            'excerpt',
          ),
          sql<string>`statement_timestamp()::text`.as('now'),
        ])
        .orderBy('page.rank', 'desc')
        .orderBy('page.id', 'desc')
        .execute()

      const page = toPage(rows, size)
      const { next } = page
      return { ...page, next: next === undefined ? undefined : [...next, horizon ?? rows[0]?.now ?? ''] }
    },
  }
}
