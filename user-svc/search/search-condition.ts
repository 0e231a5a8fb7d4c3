/**
 * Translates a search query into PostgreSQL text search. Terms are parameters and never part of the SQL text.
 *
 * `search_query` splits a term into words as `search_vector` does the documents (migration search-words). It depends on
 * no configuration and no locale.
 */
import { type RawBuilder, sql } from 'kysely'
import type { SearchQuery, SearchTerm } from './search-query.ts'

type TsQuery = RawBuilder<string>

/** The conditions of a search on a row of `documents`. A document matches if both hold. */
export interface SearchCondition {
  /** For ranking. Empty if no term has a lexeme. */
  readonly query: TsQuery
  /** Matches each word that is to be highlighted. Empty if no included term has a lexeme. */
  readonly highlighted: TsQuery
  /** Decided by an index: the document has all words and tags, at any position. */
  readonly indexed: RawBuilder<boolean>
  /** Needs the row: phrases are adjacent, and nothing excluded occurs. Undefined if `indexed` is sufficient. */
  readonly recheck: RawBuilder<boolean> | undefined
}

/**
 * Stop words ("the") are ignored; a query of nothing else, without tags, matches no document. `search_query` is
 * immutable, so that it is evaluated at planning time.
 */
export function toSearchCondition({ terms, tags, excludedTags }: SearchQuery): SearchCondition {
  const included = terms.filter(term => !term.isExcluded)
  const excluded = terms.filter(term => term.isExcluded)
  const words = join(
    '&&',
    included.map(term => toTsQuery(term, '&')),
  )
  const query = excluded.reduce(
    (combined, term) => sql`(${combined} && !!${toTsQuery(term, '<->')})`,
    join(
      '&&',
      included.map(term => toTsQuery(term, '<->')),
    ),
  )
  const highlighted = join(
    '||',
    included.map(term => toTsQuery(term, '|')),
  )
  const isIndexExact = excluded.length === 0 && excludedTags.length === 0 && included.every(isOneWord)
  return {
    query,
    highlighted,
    indexed:
      tags.length > 0
        ? sql`(tags @> ${[...tags]}::text[] and (numnode(${words}) = 0 or words @@ ${words}))`
        : sql`(numnode(${words}) > 0 and words @@ ${words})`,
    recheck: isIndexExact
      ? undefined
      : sql`(not tags && ${[...excludedTags]}::text[] and (numnode(${query}) = 0 or words @@ ${query}))`,
  }
}

// The identity of `&&` and `||`.
const EMPTY: TsQuery = sql`''::tsquery`

function join(operator: '&&' | '||', [first, ...others]: readonly TsQuery[]): TsQuery {
  return first === undefined
    ? EMPTY
    : others.reduce((combined, next) => sql`(${combined} ${sql.raw(operator)} ${next})`, first)
}

/** The words of a term, all or any of them, or as a phrase. */
function toTsQuery({ kind, text }: SearchTerm, operator: '&' | '|' | '<->'): TsQuery {
  return sql`search_query(${text}, ${operator}, ${kind === 'prefix'})`
}

/** Whether a term is certainly one word: PostgreSQL splits the other ones, and may find one word only. */
function isOneWord({ text }: SearchTerm): boolean {
  return [text, text.normalize('NFKC')].every(form => /^[\p{L}\p{Nd}]+$/u.test(form))
}
