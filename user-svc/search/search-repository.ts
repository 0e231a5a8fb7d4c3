/**
 * Full-text search over the documents that a caller may read, best rank first.
 *
 * With a million documents, a frequent word occurs in hundreds of thousands. Three limits bound the cost of a search:
 *
 * - The newest 1,000 documents that match and are readable are ranked. A broader search returns the best of the newest,
 *   not the best of all. Each access condition (see documents/access-rules.ts) selects its newest documents from its own
 *   index. PostgreSQL estimates word frequencies: it uses the word index for rare words, and scans backwards from the
 *   newest document for frequent ones.
 * - Phrases and exclusions are checked in the newest 5,000 documents of each access condition that contain all words and
 *   tags. The word index cannot decide them; without this limit a phrase of frequent words that never occurs would read
 *   every document.
 * - A snippet is taken from the first 20,000 characters of a body. `matched_words` processes about 1 MB per second.
 *
 * One case is bounded by the statement timeout only: frequent words that never occur together, because PostgreSQL assumes
 * that word frequencies are independent.
 *
 * Measured with 1,000,000 documents of 20 to 120 words (20 % public, 20 % in one of 10 departments), 20 hits per page, two
 * shared cores, 128 MB of shared buffers; p50 / p95 in ms, for an anonymous caller and for a user with a department and
 * 2,000 grants:
 *
 *   rare word                   6 / 8         15 / 17
 *   word in 97 %                17 / 21       45 / 54
 *   prefix                      20 / 31       60 / 74
 *   tag                         8 / 12        15 / 26
 *   phrase, each word in 90 %   67 / 75       147 / 164
 *   phrase, each word in 29 %   694 / 878     1118 / 1602
 *   tag:a -word -word           640 / 766     749 / 1080
 *
 * Of this release and the previous one, measured in turns with 300,000 documents, in ms: rare word of a user 6 and 3,
 * frequent word 81 and 110, phrase 78 and 54, prefix 41 and 30 (medians of 14 searches on a busy machine).
 *
 * A single condition joined by `or`, without the second limit, took 2,500 ms for the phrase and 6,600 ms for a tag with
 * exclusions. The rank is `ts_rank_cd`: 0.4 ms for a body of 70,000 characters, against 1.6 ms for `ts_rank`.
 *
 * Later pages continue after the rank and id of the last hit, among the documents that existed at the first page.
 */
import { type Expression, type ExpressionBuilder, type Kysely, type SqlBool, sql } from 'kysely'
import { type Caller, conditionsFor } from '../documents/access-rules.ts'
import { type Keyset, type Page, type Position, selectPage, toPage } from '../paging/keyset.ts'
import type { Tables, Visibility } from '../tables.ts'
import { toSearchCondition } from './search-condition.ts'
import type { SearchQuery } from './search-query.ts'

const MAX_RANKED = 1000
const MAX_RECHECKED = 5000
const MAX_SNIPPET_SOURCE = 20_000
const body = sql<string>`left(body, ${MAX_SNIPPET_SOURCE}::int)`

type Condition = (row: ExpressionBuilder<Tables, 'documents'>) => Expression<SqlBool>

export interface SearchHit {
  id: string
  owner_id: string
  tags: string[]
  visibility: Visibility
  updated_at: Date
  /** `ts_rank_cd`, normalized by document length; greater is better. */
  rank: number
  title: string
  /** The first 20,000 characters of the body. */
  body: string
  /** Words of title and body that match, see search-highlights.ts. */
  matched: string[]
}

export interface SearchRepository {
  /** By descending rank and id. `caller` is undefined for anonymous callers. */
  search(
    query: SearchQuery,
    caller: Caller | undefined,
    size: number,
    after: Position | undefined,
  ): Promise<Page<SearchHit>>
}

const BEST_FIRST = {
  direction: 'desc',
  columns: [
    ['rank', 'float4'],
    ['id', 'uuid'],
  ],
} as const satisfies Keyset

/** @param db its statement timeout bounds a search, see above. */
export function createSearchRepository(db: Kysely<Tables>): SearchRepository {
  return {
    async search(search, caller, size, after) {
      const { query, highlighted, indexed, recheck } = toSearchCondition(search)
      // Third part of the position, behind the keyset: time of the first page.
      const createdUntil = after?.[2]

      const newest = (isReadable: Condition) =>
        db
          .selectFrom('documents')
          .select(['id', 'created_at', 'words', 'tags'])
          .where(isReadable)
          .where(indexed)
          .$if(createdUntil !== undefined, matching =>
            matching.where(sql<boolean>`created_at <= ${createdUntil}::timestamptz`),
          )
          .orderBy('created_at', 'desc')
          .orderBy('id', 'desc')
          .limit(recheck === undefined ? MAX_RANKED : MAX_RECHECKED)
      const candidates = (isReadable: Condition) =>
        db
          .selectFrom(newest(isReadable).as('newest'))
          .select(['id', 'created_at'])
          .$if(recheck !== undefined, matching => matching.where(recheck ?? sql<boolean>`true`))
          .orderBy('created_at', 'desc')
          .orderBy('id', 'desc')
          .limit(MAX_RANKED)
      const [first, ...others] = conditionsFor('read', caller).map(isReadable =>
        db.selectFrom(candidates(isReadable).as('candidates')).selectAll(),
      )
      if (first === undefined) return { rows: [], next: undefined }
      // `union` removes duplicates: several access conditions may hold for one document.
      const united = others.reduce((union, one) => union.union(one), first)

      const rows = await db
        .with('candidates', cte =>
          cte
            .selectFrom(united.as('united'))
            .select('id')
            .orderBy('created_at', 'desc')
            .orderBy('id', 'desc')
            .limit(MAX_RANKED),
        )
        .with('ranked', cte =>
          cte
            .selectFrom('candidates')
            .innerJoin('documents_all', 'documents_all.id', 'candidates.id')
            .select(['candidates.id', sql<number>`ts_rank_cd(words, ${query}, 1)`.as('rank')]),
        )
        .with('page', cte => selectPage(cte.selectFrom('ranked').selectAll(), BEST_FIRST, size, after))
        .selectFrom('page')
        .innerJoin('documents_all', 'documents_all.id', 'page.id')
        .select(['page.id', 'page.rank', 'page.position', 'owner_id', 'title', 'tags', 'visibility', 'updated_at'])
        .select([
          body.as('body'),
          sql<string[]>`matched_words(title || ' ' || ${body}, ${highlighted})`.as('matched'),
          sql<string>`statement_timestamp()::text`.as('now'),
        ])
        .orderBy('page.rank', 'desc')
        .orderBy('page.id', 'desc')
        .execute()

      const page = toPage(rows, size)
      const { next } = page
      return { ...page, next: next === undefined ? undefined : [...next, createdUntil ?? rows[0]?.now ?? ''] }
    },
  }
}
